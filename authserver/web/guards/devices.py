"""The session and the device of the browser, kept when somebody has proved who they are."""

from __future__ import annotations

from flask import Response

from ... import context
from ...login import SessionView, Visit
from .cookies import DEVICE, SESSION, cookie, services, set_cookie


def keep_session(response: Response, session: str, before: SessionView | None = None) -> None:
    """The browser keeps the cookie of its session, and once that is complete the one it is known by.

    ``before`` is the session that this one follows, if the sign-in started another.
    """
    set_cookie(response, SESSION, session)
    rooms, caller = services(), context.current.get()
    view = rooms.sessions.read(session, seen=False)
    if view is None or not view.complete:
        return
    visit = Visit(caller.address, caller.user_agent, cookie(DEVICE))
    device = rooms.risk.completed(before or view, visit)
    if device is not None:
        set_cookie(response, DEVICE, device, max_age=rooms.device_trust.lifetime)
