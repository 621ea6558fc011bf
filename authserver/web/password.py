"""Changing one's password: the current one once, the new one twice."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context
from ..login import Browser, SessionView
from ..texts import Text
from . import csrf
from .guards import (
    SESSION,
    Onward,
    allow_form_redirect,
    come_back_to,
    cookie,
    login_redirect,
    see_other,
    services,
    set_cookie,
    show,
    started_session,
    too_many_tries,
)

blueprint = Blueprint("password", __name__)

PURPOSE = "password"
FAILED = Text(
    "Nothing was changed. Check the current password. "
    "After five wrong tries an account pauses for 30 minutes."
)


@blueprint.get("/account/password", provide_automatic_options=False)
def form() -> Response:
    """The form, for whoever is logged in."""
    session, onward = _session(), Onward.of(request.args)
    return login_redirect(onward) if session is None else _page(session, onward)


@blueprint.post("/account/password", provide_automatic_options=False)
def submit() -> Response:
    """The password is changed and this browser signed in anew, all others out; or the form again."""
    fields = csrf.check(PURPOSE)
    session, onward = _session(), Onward.of(fields)
    if session is None:
        return login_redirect(onward)
    rooms, caller = services(), context.current.get()
    user = rooms.users.must(session.user_id)
    current, new = fields.get("password", ""), fields.get("new_password", "")
    if error := rooms.password_rules.fault(user, new, fields.get("new_password_again", ""), current):
        return _page(session, onward, 400, error)
    if refused := too_many_tries():
        return refused
    browser = Browser(caller.address, caller.user_agent, cookie(SESSION))
    renewed = rooms.password_change.change(session, current, new, browser)
    if renewed is None:
        return _page(session, onward, 403, FAILED)
    response = see_other(onward.path if onward.fields else "/account?notice=password_changed")
    set_cookie(response, SESSION, renewed)
    csrf.renew()
    return response


def _session() -> SessionView | None:
    """The session of whoever has proved who they are, also where the password must be changed."""
    session = started_session()
    return session if session is not None and session.proved else None


def _page(session: SessionView, onward: Onward, status: int = 200, error: str | None = None) -> Response:
    allow_form_redirect()
    come_back_to(onward.by("/account/password"))
    user = services().users.get(session.user_id)
    must = session.change_password
    return show("password.html", status, user=user, onward=onward, must=must, error=error)
