"""Refusing what was asked for by a page, above all to who has not just proved all that they can."""

from __future__ import annotations

from ...login import SessionView
from ...texts import Text
from .cookies import services

HOW_YOU_SIGN_IN = Text(
    "Nothing was changed. How you sign in can be changed for five minutes after you signed in."
)
THIS = Text("Nothing was done. This is possible for five minutes after you signed in.")


class Refused(Exception):
    """A page instead of what was asked for: its status, title and text, and a ``link`` as ``page`` has it."""

    def __init__(self, status: int, title: str, text: str, link: tuple[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text
        self.link = link


def fresh(session: SessionView) -> bool:
    """Whether the session has just proved all that the person can prove."""
    mfa = services().mfa
    return mfa.fresh(session, mfa.factors(session.user_id))


def not_fresh(then: str = "security") -> Refused:
    """The page for a change that needs a fresh session: nothing was done, and how to go on to ``then``."""
    text = HOW_YOU_SIGN_IN if then == "security" else THIS
    return Refused(403, Text("Sign in once more"), text, (f"/login?then={then}", Text("Sign in and go on")))
