"""Passkeys and security keys: options for what browsers do with them, and the page of one's own."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from .. import context, crypto
from ..errors import Invalid
from ..login import SessionView
from ..login.webauthn import Ceremony, Credential, Purpose
from ..login.webauthn.credentials import name_of
from ..texts import Text
from . import csrf
from .guards import (
    Onward,
    Refused,
    come_back_to,
    cookie,
    current_session,
    login_redirect,
    see_other,
    services,
    show,
    started_session,
)

blueprint = Blueprint("passkeys", __name__)

PAGE = "/account/passkeys"
# the forms whose scripts ask for options
LOGIN, MFA, FACTORS = "login", "mfa", "factors"
USUAL_NAME = Text("Passkey")
NOTICES = {
    "added": Text("Your passkey is set up."),
    "removed": Text("That passkey no longer works here."),
    "renamed": Text("That passkey has another name."),
}
NOT_ADDED = Text("Nothing was added. Try once more, or with another device.")
NOT_A_NAME = Text("A name is one line of up to 60 characters.")
LAST = Text("This is the only second factor you have. Set up another one first.")


@blueprint.post("/login/options", provide_automatic_options=False)
def login_options() -> Response:
    """Options for a login by whoever has a passkey here; they name nobody."""
    csrf.check(LOGIN)
    # the cookie that this form was made for: the answer comes from the same browser
    return _options(Ceremony(Purpose.LOGIN, cookie(csrf.COOKIE) or ""))


@blueprint.post("/webauthn/assert/options", provide_automatic_options=False)
def assert_options() -> Response:
    """Options for a passkey as the second factor of this session."""
    csrf.check(MFA)
    session = started_session()
    if session is None:
        raise _not_fresh()
    return _options(Ceremony(Purpose.MFA, session.sid, session.user_id))


@blueprint.post("/webauthn/register/options", provide_automatic_options=False)
def register_options() -> Response:
    """Options for a new credential of whoever has just proved all that they can."""
    fields = csrf.check(FACTORS)
    session, rooms = _session(), services()
    _within_limits()
    user = rooms.users.must(session.user_id)
    options = rooms.passkeys.changes.begin(session, user, passkey=fields.get("kind") != "security_key")
    if options is None:
        raise _not_fresh()
    return _json(options)


@blueprint.post("/webauthn/register", provide_automatic_options=False)
def register() -> Response:
    """The credential counts; recovery codes follow for who has none."""
    fields = csrf.check(FACTORS)
    session, onward, rooms = _session(), Onward.of(fields), services()
    try:
        name = name_of(fields.get("name", "").strip() or USUAL_NAME)
    except Invalid:
        return _not_added(session, onward, NOT_A_NAME)
    codes = rooms.passkeys.changes.finish(session, fields.get("credential", ""), name)
    if codes is None:
        if not rooms.mfa.fresh(session, rooms.mfa.factors(session.user_id)):
            raise _not_fresh()
        return _not_added(session, onward, NOT_ADDED)
    path = onward.path if onward.fields or not session.complete else f"{PAGE}?notice=added"
    return show("recovery_codes.html", codes=codes, path=path) if codes else see_other(path)


@blueprint.get(PAGE, provide_automatic_options=False)
def passkeys() -> Response:
    """The person's passkeys and security keys."""
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="passkeys"))
    return _page(session, notice=NOTICES.get(request.args.get("notice", "")))


@blueprint.post(f"{PAGE}/rename", provide_automatic_options=False)
def rename() -> Response:
    """A credential has another name."""
    fields = csrf.check(FACTORS)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="passkeys"))
    try:
        name = name_of(fields.get("name", ""))
    except Invalid:
        return _page(session, 400, NOT_A_NAME)
    services().passkeys.changes.rename(session, _credential_id(fields), name)
    return see_other(f"{PAGE}?notice=renamed")


@blueprint.post(f"{PAGE}/remove", provide_automatic_options=False)
def remove() -> Response:
    """A credential no longer counts, unless it is all that there is."""
    fields = csrf.check(FACTORS)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="passkeys"))
    fault = services().passkeys.changes.remove(session, _credential_id(fields))
    if fault == "last_factor":
        return _page(session, 403, LAST)
    if fault in ("session_stale", "user_disabled"):
        raise _not_fresh()
    return see_other(f"{PAGE}?notice=removed")


def _options(ceremony: Ceremony) -> Response:
    _within_limits()
    return _json(services().passkeys.assertions.options(ceremony))


def _json(options: dict[str, Any]) -> Response:
    response = jsonify(options)
    response.headers["Cache-Control"] = "no-store"
    return response


def _within_limits() -> None:
    """Refused when the address asks for too many challenges: each is a row."""
    wait = services().login_limits.ask(context.current.get().address)
    if wait:
        raise Refused(429, Text("Too many requests"), Text("Wait a minute and reload this page."))


def _session() -> SessionView:
    """The session whose factors change; Refused without one."""
    session = started_session()
    if session is None:
        raise _not_fresh()
    return session


def _not_added(session: SessionView, onward: Onward, text: Text) -> Response:
    """The page again; who may not see it yet goes back to where a factor is chosen."""
    if session.complete:
        return _page(session, 400, text)
    raise Refused(400, Text("Nothing was added"), text, (onward.by("/second-factor"), Text("Go back")))


def _not_fresh() -> Refused:
    title = Text("Sign in once more")
    text = Text("Nothing was changed. How you sign in can be changed for five minutes after you signed in.")
    return Refused(403, title, text, ("/login?then=passkeys", Text("Sign in and go on")))


def _credential_id(fields: dict[str, str]) -> bytes:
    try:
        return crypto.b64u_decode(fields.get("credential_id", ""))
    except ValueError:
        return b""


def _page(
    session: SessionView, status: int = 200, error: str | None = None, notice: str | None = None
) -> Response:
    come_back_to(PAGE)
    rooms = services()
    held = rooms.passkeys.credentials.of(session.user_id)
    fresh = rooms.mfa.fresh(session, rooms.mfa.factors(session.user_id))
    told = {"error": error, "notice": notice}
    return show("passkeys.html", status, passkeys=list(map(_shown, held)), fresh=fresh, **told)


def _shown(credential: Credential) -> dict[str, Any]:
    return {
        "id": crypto.b64u(credential.credential_id),
        "name": credential.name,
        "created_at": credential.created_at,
        "last_used_at": credential.last_used_at,
        "flagged": credential.flagged_at is not None,
        "synced": credential.backed_up,
    }
