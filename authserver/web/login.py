"""The login page: one form, one answer to everything that is wrong with it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context, crypto
from ..errors import RequestRejected
from ..interaction import asked_of
from ..login import Browser
from ..login.policy import Asked
from ..oauth.interactions import Unusable
from ..texts import Text
from . import csrf
from .guards import (
    BROWSER,
    DEVICE,
    HOMEWARD,
    SESSION,
    Onward,
    allow_form_redirect,
    asking,
    claim,
    come_back_to,
    cookie,
    current_session,
    holder,
    keep_session,
    language,
    login_redirect,
    see_other,
    services,
    set_cookie,
    show,
    started_session,
    too_many_tries,
)

blueprint = Blueprint("login", __name__)

PURPOSE = "login"
FAILED = Text(
    "That did not work. Check the user name and the password. "
    "After five wrong tries an account pauses for 30 minutes. "
    "If you are sure of both, wait until that is over, or ask whoever gave you the account for a new link."
)
COOKIE_LENGTH = 43
IDLE = Text("You were signed out after a while without activity.")
# ended elsewhere, long ago, or never there: nothing tells which
ENDED = Text("You are no longer signed in here.")
PASSKEY_FAILED = Text("That did not work. Try your passkey again, or sign in with your password.")
NOTICES = {
    "password_set": Text("Your password is set. Sign in with it now."),
    "signed_out": Text("You are signed out."),
    "signed_out_everywhere": Text("You are signed out everywhere."),
}


@blueprint.get("/login", provide_automatic_options=False)
def form() -> Response:
    """The form; whoever is logged in already and was not sent here by a request goes home."""
    if "password" in request.args:
        raise RequestRejected(400, "password_in_url", Text("A password does not belong in an address."))
    onward = Onward.of(request.args)
    if onward == HOMEWARD and started_session() is not None:
        return login_redirect() if current_session() is None else see_other("/account")
    return _page(onward, notice=NOTICES.get(request.args.get("notice", "")), over=_session_over())


@blueprint.post("/login", provide_automatic_options=False)
def submit() -> Response:
    """A new session and on to what the person came for, or the form again."""
    fields = csrf.check(PURPOSE)
    onward = Onward.of(fields)
    rooms, caller = services(), context.current.get()
    if refused := too_many_tries():
        return refused
    present = started_session() is not None
    asked = _asked(onward.request_id)
    browser = Browser(caller.address, caller.user_agent, cookie(SESSION), cookie(DEVICE), asked)
    session = rooms.password_login.attempt(fields.get("username", ""), fields.get("password", ""), browser)
    if session is None:
        return _page(onward, status=401, error=FAILED)
    _remember_language(session)
    return _in(onward, session, present=present)


@blueprint.post("/login/passkey", provide_automatic_options=False)
def submit_passkey() -> Response:
    """A new session of whoever the passkey is of, and on to what they came for; or the form again."""
    fields = csrf.check(PURPOSE)
    rooms, caller, onward = services(), context.current.get(), Onward.of(fields)
    if refused := too_many_tries():
        return refused
    present = started_session() is not None
    asked = _asked(onward.request_id)
    browser = Browser(caller.address, caller.user_agent, cookie(SESSION), cookie(DEVICE), asked)
    session = rooms.passkeys.login.attempt(fields.get("answer", ""), holder(), browser, _known)
    if session is None:
        return _page(onward, status=401, error=PASSKEY_FAILED)
    if (view := rooms.sessions.read(session, seen=False)) is not None:
        rooms.risk.proved(rooms.users.must(view.user_id), view.sid, browser.visit)
    return _in(onward, session, present=present)


def _known(user_id: str, browser: Browser) -> bool:
    """Whether this browser holds a session that was the person's, live or ended, or is a device of theirs."""
    rooms = services()
    if rooms.sessions.owner(browser.session) == user_id:
        return True
    return rooms.device_trust.state(user_id, browser.device, browser.user_agent) == "known"


def _in(onward: Onward, session: str, *, present: bool) -> Response:
    """The browser has a new session and goes on."""
    response, rooms = see_other(onward.path), services()
    keep_session(response, session)
    if rooms.sessions.owner(cookie(SESSION)) not in (None, rooms.sessions.owner(session)):
        _change_hands(response, onward.request_id if present else "")
    return response


def _asked(request_id: str) -> Asked | None:
    """What the person signs in for; None for their account alone."""
    try:
        return asked_of(claim(request_id, late=True).request) if request_id else None
    except Unusable:
        return None


def _remember_language(session: str) -> None:
    """Mails to the person are in the language that they have just signed in in."""
    users = services().users
    user = users.get(services().sessions.owner(session) or "")
    if user is not None:
        users.speaks(user, language())


def _change_hands(response: Response, request_id: str) -> None:
    """Whatever waited for the person before waits for nobody now.

    ``request_id`` is what they chose to leave to the one who has logged in ("Not you?"): it goes on.
    """
    before, now = cookie(BROWSER), crypto.random_token()
    if request_id and before is not None:
        services().interactions.hand_over(request_id, before, now)
    set_cookie(response, BROWSER, now)


def _page(
    onward: Onward,
    status: int = 200,
    error: str | None = None,
    notice: str | None = None,
    over: str | None = None,
) -> Response:
    allow_form_redirect()
    come_back_to(onward.by("/login"))
    asked = asking(onward.request_id) if onward.request_id else None
    told = {"error": error, "notice": notice, "over": over}
    return show("login.html", status, onward=onward, asked=asked, mails=services().mail.on, **told)


def _session_over() -> str | None:
    """What to tell a browser that holds the cookie of a session that is over; None for all others."""
    if started_session(seen=False) is not None or len(cookie(SESSION) or "") != COOKIE_LENGTH:
        return None
    return IDLE if services().sessions.held(cookie(SESSION)) else ENDED
