"""Asking for a new password. The answer is the same whoever is asked for; a mail follows, or none."""

from __future__ import annotations

from flask import Blueprint, Response

from ..texts import Text
from . import csrf
from .guards import come_back_to, page, services, show, too_many_tries

blueprint = Blueprint("password_reset", __name__)

PURPOSE = "password_reset"
TITLE = Text("Look into your mails")
ASKED = Text(
    "If there is an account of that name that mails can reach, a link for a new password is on its way. "
    "It works for 30 minutes. If none comes, ask whoever gave you the account."
)
OFF = Text("No mails are sent here. Ask whoever gave you the account for a link.")


@blueprint.get("/password/forgot", provide_automatic_options=False)
def form() -> Response:
    """The form for a user name or e-mail address."""
    if not services().mail.on:
        return _off()
    come_back_to("/password/forgot")
    return show("password_forgot.html")


@blueprint.post("/password/forgot", provide_automatic_options=False)
def submit() -> Response:
    """The request is taken."""
    fields = csrf.check(PURPOSE)
    if not services().mail.on:
        return _off()
    if refused := too_many_tries():
        return refused
    services().reset_requests.ask(fields.get("username", ""))
    return page(200, TITLE, ASKED, ("/login", Text("Go to sign in")))


def _off() -> Response:
    return page(404, Text("There is no such page"), OFF, ("/login", Text("Go to sign in")))
