"""Changing one's password: the current one once, the new one twice."""

from __future__ import annotations

from flask import Blueprint, Response

from .. import context
from ..login import Browser
from ..texts import Text
from ..users import UserRecord
from . import csrf
from .guards import (
    SESSION,
    come_back_to,
    cookie,
    current_session,
    login_redirect,
    see_other,
    services,
    set_cookie,
    show,
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
    user = _person()
    return login_redirect() if user is None else _page(user)


@blueprint.post("/account/password", provide_automatic_options=False)
def submit() -> Response:
    """The password is changed and this browser signed in anew, all others out; or the form again."""
    fields = csrf.check(PURPOSE)
    user, session = _person(), current_session()
    if user is None or session is None:
        return login_redirect()
    rooms, caller = services(), context.current.get()
    current, new = fields.get("password", ""), fields.get("new_password", "")
    if error := rooms.password_rules.fault(user, new, fields.get("new_password_again", ""), current):
        return _page(user, 400, error)
    if refused := too_many_tries():
        return refused
    browser = Browser(caller.address, caller.user_agent, cookie(SESSION))
    renewed = rooms.password_change.change(session, current, new, browser)
    if renewed is None:
        return _page(user, 403, FAILED)
    response = see_other("/account?notice=password_changed")
    set_cookie(response, SESSION, renewed)
    csrf.renew()
    return response


def _person() -> UserRecord | None:
    session = current_session()
    return None if session is None else services().users.get(session.user_id)


def _page(user: UserRecord, status: int = 200, error: str | None = None) -> Response:
    come_back_to("/account/password")
    return show("password.html", status, user=user, error=error)
