"""The rooms of the app, and the cookies of the browser that speaks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, current_app, request

if TYPE_CHECKING:
    from ...services import Services

SESSION = "sid"
# What a browser is known by after a complete sign-in; it spares questions and proves nothing.
DEVICE = "device"
# Names a browser to the authorization requests that it resumed; it proves nothing about a person.
BROWSER = "browser"


def services() -> Services:
    """The rooms of the app that serves this request."""
    rooms: Services = current_app.extensions["authserver"]
    return rooms


def cookie_name(name: str) -> str:
    """``name`` as browsers hold it: ``__Host-`` binds it to this very host over https."""
    return name if services().settings.loopback else f"__Host-{name}"


def cookie(name: str) -> str | None:
    """What this browser sent for the cookie ``name``."""
    return request.cookies.get(cookie_name(name))


def set_cookie(response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    """The browser keeps ``value`` until it closes, or ``max_age`` seconds; no script sees it."""
    secure = not services().settings.loopback
    response.set_cookie(
        cookie_name(name), value, max_age, path="/", secure=secure, httponly=True, samesite="Lax"
    )


def drop_cookie(response: Response, name: str) -> None:
    """The browser forgets the cookie ``name``."""
    secure = not services().settings.loopback
    response.delete_cookie(cookie_name(name), path="/", secure=secure, httponly=True, samesite="Lax")
