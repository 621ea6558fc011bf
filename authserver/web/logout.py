"""Signing out: asked for on a page, done by its form."""

from __future__ import annotations

from flask import Blueprint, Response

from . import csrf
from .guards import SESSION, allow_form_redirect, current_session, drop_cookie, services, show

blueprint = Blueprint("logout", __name__)

PURPOSE = "logout"


@blueprint.get("/logout", provide_automatic_options=False)
def confirm() -> Response:
    """The question; a link from elsewhere signs nobody out."""
    if current_session() is None:
        return show("signed_out.html")
    allow_form_redirect()
    return show("logout.html")


@blueprint.post("/logout", provide_automatic_options=False)
def submit() -> Response:
    """The session has ended, with all that does not outlive it."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is not None:
        services().sessions.end(session.sid, "logout")
    response = show("signed_out.html")
    drop_cookie(response, SESSION)
    csrf.renew()
    return response
