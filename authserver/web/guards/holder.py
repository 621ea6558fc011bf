"""What binds forms to one browser: a random cookie, which it gets with its first form here."""

from __future__ import annotations

from flask import Response, g

from ... import crypto
from .cookies import cookie, set_cookie

COOKIE = "csrf"
COOKIE_LENGTH = 43


def sent_holder() -> str | None:
    """The cookie that this browser sent, if it can be one of ours."""
    value = cookie(COOKIE)
    return value if value is not None and len(value) == COOKIE_LENGTH else None


def holder() -> str:
    """What this browser alone has since its first form here, made now if it has none.

    A ceremony before a login is bound to it.
    """
    if "holder" not in g:
        value = sent_holder()
        g.holder_new = value is None
        g.holder = value or crypto.random_token()
    known: str = g.holder
    return known


def renew_holder() -> None:
    """The browser gets another with this answer: forms from before no longer fit."""
    g.holder = crypto.random_token()
    g.holder_new = True


def remember_holder(response: Response) -> Response:
    """The browser has with ``response`` what was made in this request."""
    if g.get("holder_new"):
        set_cookie(response, COOKIE, g.holder)
    return response
