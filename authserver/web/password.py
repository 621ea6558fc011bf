"""Changing one's password: the current one once, the new one twice; by choice, or before a login counts."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context
from ..interaction import Step
from ..login import Browser, SessionView
from ..login.password_policy import Refused
from ..texts import Text
from ..users import UserRecord
from . import csrf
from .guards import (
    SESSION,
    Onward,
    allow_form_redirect,
    come_back_to,
    cookie,
    due,
    keep_session,
    login_redirect,
    not_fresh,
    see_other,
    services,
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
    """The form, for whoever is logged in or must change their password to be."""
    onward = Onward.of(request.args)
    session = _session(onward)
    if session is None:
        return login_redirect(onward)
    if not services().password_rules.may_change(session):
        raise not_fresh()
    return _page(session, onward)


@blueprint.post("/account/password", provide_automatic_options=False)
def submit() -> Response:
    """The password is changed and this browser signed in anew, all others out; or the form again."""
    fields = csrf.check(PURPOSE)
    onward = Onward.of(fields)
    session = _session(onward)
    if session is None:
        return login_redirect(onward)
    rooms, caller = services(), context.current.get()
    if not rooms.password_rules.may_change(session):
        raise not_fresh()
    current, new = fields.get("password", ""), fields.get("new_password", "")
    user = _person(session)
    if error := rooms.password_rules.fault(user, new, fields.get("new_password_again", ""), current):
        return _page(session, onward, 400, error)
    if refused := too_many_tries():
        return refused
    browser = Browser(caller.address, caller.user_agent, cookie(SESSION))
    try:
        renewed = rooms.password_change.change(session, current, new, browser)
    except Refused as refusal:
        return _page(session, onward, 400, refusal.text)
    if renewed is None:
        return _page(session, onward, 403, FAILED)
    response = see_other(onward.path if onward.fields else "/account?notice=password_changed")
    keep_session(response, renewed, session)
    return response


def _session(onward: Onward) -> SessionView | None:
    """The session whose password may be changed; None while the person has not proved who they are."""
    session = started_session()
    if session is None or session.complete:
        return session
    return session if due(onward, session).step is Step.CHANGE_PASSWORD else None


def _person(session: SessionView) -> UserRecord:
    users = services().users
    return users.get(session.user_id) or users.must(session.user_id)


def _page(session: SessionView, onward: Onward, status: int = 200, error: str | None = None) -> Response:
    if session.change_password:
        allow_form_redirect()
    come_back_to(onward.by("/account/password"))
    user = _person(session)
    told = {"demands": services().password_rules.demands(user), "must": session.change_password}
    return show("password.html", status, user=user, onward=onward, error=error, **told)
