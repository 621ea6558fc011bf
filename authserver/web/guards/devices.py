"""The session and the device of the browser, kept when somebody has proved who they are."""

from __future__ import annotations

from flask import Response

from ... import context
from ...login import SessionView, Visit
from .cookies import BROWSER, DEVICE, SESSION, cookie, drop_cookie, services, set_cookie
from .holder import renew_holder


def keep_session(response: Response, session: str, before: SessionView | None = None) -> None:
    """The browser keeps the cookie of its session, and once that is complete the one it is known by.

    Forms from before no longer fit. ``before`` is the session that this one follows, if the sign-in started
    another.
    """
    set_cookie(response, SESSION, session)
    rooms, caller = services(), context.current.get()
    view = rooms.sessions.read(session, seen=False)
    if view is not None and view.complete:
        visit = Visit(caller.address, caller.user_agent, cookie(DEVICE))
        device = rooms.risk.completed(before or view, visit)
        if device is not None:
            set_cookie(response, DEVICE, device, max_age=rooms.device_trust.lifetime)
    renew_holder()


def forget_session(response: Response) -> Response:
    """The browser forgets its session, the forms that it got in it, and what waited for its person."""
    drop_cookie(response, SESSION)
    drop_cookie(response, BROWSER)
    renew_holder()
    return response
