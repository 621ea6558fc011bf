"""What pages that change second factors have in common: their words, recovery codes, and the way on."""

from __future__ import annotations

from flask import Response, make_response, render_template

from ...login.factor_changes import Enrolled
from ...texts import Text
from .devices import keep_session
from .onward import Onward, see_other

NOT_CHANGED = Text("Nothing was changed")
LAST_FACTOR = Text("This is the only second factor you have. Set up another one first.")
BACK_TO_FACTORS = ("/account/security", Text("Back to how you sign in"))
CODE_FAILED = Text(
    "That did not work. Each code works once: wait for the next one and try again. "
    "After five wrong tries an account pauses for 30 minutes."
)


def recovery_codes_page(codes: list[str], path: str) -> Response:
    """The recovery codes, shown this once, and the way on to ``path``."""
    # no link away from it: what it shows is shown once
    return make_response(render_template("recovery_codes.html", codes=codes, path=path, shown_once=True), 200)


def enrolled(factor: Enrolled, onward: Onward, notice: str) -> Response:
    """The browser goes on with a new factor, past the recovery codes that came with it.

    ``notice`` is what the page of factors says to who came for no more.
    """
    path = onward.path if onward.fields else f"/account/security?notice={notice}"
    response = recovery_codes_page(factor.codes, path) if factor.codes else see_other(path)
    keep_session(response, factor.cookie)
    return response
