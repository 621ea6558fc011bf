"""The person's own page: who is signed in here, and where else."""

from __future__ import annotations

from flask import Blueprint, Response

from . import csrf
from .guards import current_session, login_redirect, page, see_other, services, show

blueprint = Blueprint("account", __name__)

PURPOSE = "account"


@blueprint.get("/account", provide_automatic_options=False)
def home() -> Response:
    """The account of whoever is logged in."""
    session = current_session()
    user = None if session is None else services().users.get(session.user_id)
    if session is None or user is None:
        return login_redirect()
    return show("account.html", user=user, session=session, sessions=services().sessions.list(user.user_id))


@blueprint.post("/account/sessions/end", provide_automatic_options=False)
def end_session() -> Response:
    """One of the person's own sessions has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().sessions.end(fields.get("sid", ""), "by_user", session.user_id):
        return page(404, "There is no such session", "It has ended already.", ("/account", "Your account"))
    return see_other("/account")
