"""A device that is new here: the person enters a code that was sent to them, then the session counts."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context
from ..interaction import Step
from ..login import Sent, SessionView
from ..login.email_otp import MOST_SECONDS
from ..texts import Text
from ..users import UserRecord
from . import csrf
from .guards import (
    Onward,
    Refused,
    allow_form_redirect,
    asking,
    come_back_to,
    due,
    keep_session,
    login_redirect,
    place,
    see_other,
    services,
    show,
    started_session,
    too_many_tries,
)

blueprint = Blueprint("confirm_device", __name__)

PURPOSE = "confirm_device"
FAILED = Text(
    "That did not work. Enter the newest code that was sent, within 10 minutes. "
    "After five wrong tries an account pauses for 30 minutes."
)
TOO_MANY = Text("Several codes were sent already. Enter the newest one, or wait 10 minutes and ask again.")


@blueprint.get("/confirm-device", provide_automatic_options=False)
def form() -> Response:
    """Where a code can be sent, and the form for it once one was; on to whatever else is due."""
    session, onward = started_session(), Onward.of(request.args)
    if session is None:
        return login_redirect(onward)
    return _page(session, onward) if _due(session, onward) else _on(session, onward)


@blueprint.post("/confirm-device/send", provide_automatic_options=False)
def send() -> Response:
    """A code is on its way to where the person's record says."""
    fields = csrf.check(PURPOSE)
    session, onward = started_session(), Onward.of(fields)
    if session is None:
        return login_redirect(onward)
    if not _due(session, onward):
        return _on(session, onward)
    user, channel = _person(session), fields.get("channel", "")
    if services().email_otp.send(user, session.sid, channel) is not Sent.TOO_MANY:
        return see_other(onward.by("/confirm-device"))
    refused = _page(session, onward, 429, TOO_MANY)
    refused.headers["Retry-After"] = str(MOST_SECONDS)
    return refused


@blueprint.post("/confirm-device", provide_automatic_options=False)
def submit() -> Response:
    """The device is confirmed and the session renewed, or the form again."""
    fields = csrf.check(PURPOSE)
    session, onward = started_session(), Onward.of(fields)
    if session is None:
        return login_redirect(onward)
    if not _due(session, onward):
        return _on(session, onward)
    if refused := too_many_tries():
        return refused
    address = context.current.get().address
    cookie = services().email_otp.confirm_device(_person(session), session, fields.get("code", ""), address)
    if cookie is None:
        return _page(session, onward, 401, FAILED)
    response = see_other(onward.path)
    keep_session(response, cookie)
    return response


def _due(session: SessionView, onward: Onward) -> bool:
    return due(onward, session).step is Step.CONFIRM_DEVICE


def _on(session: SessionView, onward: Onward) -> Response:
    return see_other(place(due(onward, session), onward))


def _person(session: SessionView) -> UserRecord:
    user = services().users.get(session.user_id)
    if user is None:
        raise Refused(403, Text("This cannot be answered"), Text("Sign in again."))
    return user


def _page(session: SessionView, onward: Onward, status: int = 200, error: str | None = None) -> Response:
    allow_form_redirect()
    come_back_to(onward.by("/confirm-device"))
    user, codes = _person(session), services().email_otp
    return show(
        "confirm_device.html",
        status,
        onward=onward,
        asked=asking(onward.request_id) if onward.request_id else None,
        error=error,
        places={channel: _masked(channel, user) for channel in codes.channels(user)},
        waiting=codes.waiting(user, session.sid),
    )


def _masked(channel: str, user: UserRecord) -> str:
    """An address as its owner knows it and nobody else does."""
    if channel == "sms":
        return f"…{(user.phone or '')[-2:]}"
    local, _, domain = (user.email or "").rpartition("@")
    return f"{local[:1]}…@{domain}"
