"""Setting a password by a single-use link. Opening it changes nothing; sending the form spends it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context
from ..login.password_policy import Refused
from ..texts import Text
from ..users import UserRecord
from . import csrf
from .guards import come_back_to, page, see_other, services, show, too_many_tries

blueprint = Blueprint("enrol", __name__)

PURPOSE = "enrol"


@blueprint.get("/enrol", provide_automatic_options=False)
def form() -> Response:
    """The form for a new password, as long as the link works."""
    token = request.args.get("token", "")
    user = services().links.look(token)
    return _over() if user is None else _page(user, token)


@blueprint.post("/enrol", provide_automatic_options=False)
def submit() -> Response:
    """The password is set and the link is spent, or the form again with what is wrong."""
    fields = csrf.check(PURPOSE)
    rooms, token, password = services(), fields.get("token", ""), fields.get("password", "")
    user = rooms.links.look(token)
    if user is None:
        return _over()
    if error := rooms.password_rules.fault(user, password, fields.get("password_again", "")):
        return _page(user, token, 400, error)
    try:
        if not rooms.password_reset.set(token, password):
            return _over()
    except Refused as refused:
        # it tells what the person's password was: not to who goes on asking
        return too_many_tries() or _page(user, token, 400, refused.text)
    return see_other("/login?notice=password_set")


def _page(user: UserRecord, token: str, status: int = 200, error: str | None = None) -> Response:
    come_back_to(f"/enrol?token={token}")
    demands = services().password_rules.demands(user)
    return show("enrol.html", status, user=user, token=token, error=error, demands=demands)


def _over() -> Response:
    rooms = services()
    if rooms.throttle.noticed(context.current.get().address):
        rooms.links.rejected()
    text = Text("It was used already, or its time is over. Ask whoever sent it for a new one.")
    return page(410, Text("This link no longer works"), text, ("/login", Text("Go to sign in")))
