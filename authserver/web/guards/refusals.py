"""What pages that change second factors have in common: refusing who has not just proved all, and codes."""

from __future__ import annotations

from flask import Response, make_response, render_template

from ...texts import Text


class Refused(Exception):
    """A page instead of what was asked for: its status, title and text, and a ``link`` as ``page`` has it."""

    def __init__(self, status: int, title: str, text: str, link: tuple[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text
        self.link = link


def not_fresh() -> Refused:
    """The page for who changes how they sign in without having just proved all that they can."""
    title = Text("Sign in once more")
    text = Text("Nothing was changed. How you sign in can be changed for five minutes after you signed in.")
    return Refused(403, title, text, ("/login?then=security", Text("Sign in and go on")))


def recovery_codes_page(codes: list[str], path: str) -> Response:
    """The recovery codes, shown this once, and the way on to ``path``."""
    # no link away from it: what it shows is shown once
    return make_response(render_template("recovery_codes.html", codes=codes, path=path, shown_once=True), 200)
