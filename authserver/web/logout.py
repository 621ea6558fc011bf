"""Signing out: asked for on a page of ours and done by its form, or sent by a client with an ID token.

``/end_session`` judges without a cookie: a form posted by another site carries none. The session is read on
the GET that follows.
"""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, request

from ..errors import ProtocolError
from ..oauth.logout import LogoutRequest
from ..texts import Text
from . import csrf
from .guards import (
    SESSION,
    allow_form_redirect,
    come_back_to,
    cookie,
    forget_session,
    incoming,
    page,
    see_other,
    services,
    show,
    speak,
    translated,
    within_limits,
)

blueprint = Blueprint("logout", __name__)

PURPOSE = "logout"
ASKED = "end_session"
TOO_MANY = 429


@blueprint.get("/logout", provide_automatic_options=False)
def confirm() -> Response:
    """The question; a link from elsewhere signs nobody out. An idle session is one to sign out of too."""
    if services().sessions.held(cookie(SESSION)) is None:
        return show("signed_out.html")
    allow_form_redirect()
    return show("logout.html")


@blueprint.post("/logout", provide_automatic_options=False)
def submit() -> Response:
    """The session has ended, with all that does not outlive it."""
    csrf.check(PURPOSE)
    _end("logout")
    return forget_session(_signed_out(LogoutRequest()))


@blueprint.route("/end_session", methods=["GET", "POST"], provide_automatic_options=False, head=False)
def end_session() -> Response:
    """The end-session endpoint (OpenID Connect RP-Initiated Logout §2)."""
    endpoint = services().end_session
    try:
        asked = endpoint.open(incoming("end_session"))
    except ProtocolError as error:
        return _refused(error)
    if request.method == "POST":
        return see_other(f"/end_session/resume?request={endpoint.carry(asked)}")
    return _go_on(asked)


@blueprint.get("/end_session/resume", provide_automatic_options=False, head=False)
def resume() -> Response:
    """The same after a POST: the browser is here with its cookies."""
    within_limits("end_session")
    asked = services().end_session.carried(request.args.get("request", ""))
    # what is too old, or not ours, is a person who would like to sign out
    return see_other("/logout") if asked is None else _go_on(asked)


@blueprint.post("/end_session/confirm", provide_automatic_options=False)
def confirmed() -> Response:
    """The person agreed: the session has ended, and the browser goes to where the client asked for."""
    fields = csrf.check(ASKED)
    _end("rp_initiated")
    asked = services().end_session.carried(fields.get("request", "")) or LogoutRequest()
    return forget_session(_signed_out(asked))


def _end(reason: str) -> None:
    """This browser's session has ended, also when it is idle too long: what was opened from it lives on."""
    sessions = services().sessions
    held = sessions.held(cookie(SESSION))
    if held is not None:
        sessions.end(held[0], reason)


def _go_on(asked: LogoutRequest) -> Response:
    """At once for who shows an ID token of this session, or of none; a question for all others."""
    rooms = services()
    speak(asked.ui_locales)
    held = rooms.sessions.held(cookie(SESSION))
    if held is None:
        # a redirect that nobody here agreed to is for those who have an ID token
        return _signed_out(asked if asked.hinted else LogoutRequest())
    if rooms.end_session.names(asked, *held):
        rooms.sessions.end(held[0], "rp_initiated")
        return forget_session(_signed_out(asked))
    allow_form_redirect()
    client = rooms.clients.get(asked.client_id) if asked.client_id else None
    user = rooms.users.get(held[1])
    carried = rooms.end_session.carry(asked)
    # not the address of this page: an ID token may be in that
    come_back_to(f"/end_session/resume?request={carried}")
    return show("end_session.html", client=client, user=user, asked=carried)


def _signed_out(asked: LogoutRequest) -> Response:
    """The way back to the client, or a page."""
    if asked.location is None:
        return show("signed_out.html")
    return make_response(redirect(asked.location, 303))


def _refused(error: ProtocolError) -> Response:
    if error.status_code == TOO_MANY:
        title, text = Text("Too many requests"), Text("Wait a minute and reload this page.")
    else:
        title = Text("You are not signed out")
        text = Text("%(reason)s Nothing was changed.", reason=translated(error.description))
    come_back_to("/logout")
    response = page(error.status_code, title, text, ("/logout", Text("Sign out here")))
    response.headers.extend(error.headers)
    return response
