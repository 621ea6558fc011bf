"""The person's own page: what they allow, where they are signed in, and the ways to end either."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request
from markupsafe import Markup

from ..clients import ClientRecord, login_uris
from ..login.user_agent import describe
from . import csrf
from .guards import (
    BROWSER,
    SESSION,
    current_session,
    drop_cookie,
    login_redirect,
    page,
    see_other,
    services,
    show,
)

blueprint = Blueprint("account", __name__)

PURPOSE = "account"
BACK = ("/account", "Your account")
NOTICES = {
    "withdrawn": "It is withdrawn. That application no longer acts for you.",
    "password_changed": "Your password is changed. Everything else that was signed in has ended.",
}


@blueprint.app_template_filter("day")
def day(seconds: int) -> Markup:
    """A Unix time as a day for people: 24 November 2026 (UTC)."""
    date = datetime.fromtimestamp(seconds, UTC).date()
    return Markup('<time datetime="{}">{}</time>').format(date.isoformat(), f"{date.day} {date:%B %Y}")


@blueprint.app_template_filter("device")
def device(user_agent: str) -> str:
    """A browser in words."""
    return describe(user_agent)


@blueprint.get("/account", provide_automatic_options=False)
def home() -> Response:
    """The account of whoever is logged in."""
    session, rooms = current_session(), services()
    user = None if session is None else rooms.users.get(session.user_id)
    if session is None or user is None:
        return login_redirect()
    return show(
        "account.html",
        user=user,
        session=session,
        sessions=rooms.sessions.list(user.user_id),
        allowed=_allowed(user.user_id),
        notice=NOTICES.get(request.args.get("notice", "")),
    )


@blueprint.post("/account/consents/withdraw", provide_automatic_options=False)
def withdraw() -> Response:
    """A client may do nothing more in the person's name, and all that it held has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().consents.withdraw(session.user_id, fields.get("client_id", "")):
        return page(404, "There is nothing to withdraw", "It was withdrawn already.", BACK)
    return see_other("/account?notice=withdrawn")


@blueprint.post("/account/sessions/end", provide_automatic_options=False)
def end_session() -> Response:
    """One of the person's own sessions has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().sessions.end(fields.get("sid", ""), "by_user", session.user_id):
        return page(404, "There is no such session", "It has ended already.", BACK)
    return see_other("/account")


@blueprint.post("/account/sessions/end-all", provide_automatic_options=False)
def end_all_sessions() -> Response:
    """Every session of the person has ended, this one with them."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    services().sessions.end_all(session.user_id, "by_user")
    response = see_other("/login?notice=signed_out_everywhere")
    drop_cookie(response, SESSION)
    drop_cookie(response, BROWSER)
    csrf.renew()
    return response


def _begins(client: ClientRecord | None) -> str | None:
    """Where a login at the client begins, if it said so and is active (OpenID Connect Core §4)."""
    if client is None or not client.active or client.initiate_login_uri is None:
        return None
    return login_uris.begin(client.initiate_login_uri, services().settings.issuer)


def _allowed(user_id: str) -> list[dict[str, Any]]:
    """Each client that the person allows something: its name, in words what, and since when."""
    rooms = services()
    known = rooms.scopes.all()
    found = []
    for allowed in rooms.consents.of(user_id):
        client = rooms.clients.get(allowed.client_id)
        found.append(
            {
                "client_id": allowed.client_id,
                "name": client.client_name if client else allowed.client_id,
                "sentences": [known[name].description for name in allowed.scopes if name in known],
                "since": allowed.since,
                "begins": _begins(client),
            }
        )
    return found
