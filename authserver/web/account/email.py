"""Another e-mail address: asked for by whoever just signed in, confirmed by a link mailed there."""

from __future__ import annotations

from flask import Response, request

from ...login import SessionView
from ...texts import Text
from ...users import UserRecord
from .. import csrf
from ..guards import (
    Onward,
    come_back_to,
    fresh,
    login_redirect,
    not_fresh,
    page,
    see_other,
    services,
    show,
)
from .blueprint import BACK, blueprint, here

PATH = "/account/email"
PURPOSE = "email"
FAULTS = {
    "address": Text("That is not an e-mail address. One looks like alice@example.com."),
    "too_soon": Text("A link was sent less than a minute ago. Wait a little, and try again."),
}
SIGN_IN = Text("Sign in first. Then open the link from the mail once more.")


@blueprint.get(PATH, provide_automatic_options=False)
def email_form() -> Response:
    """The address, and a field for another one."""
    found = here()
    return login_redirect(Onward(then="email")) if found is None else _page(*found)


@blueprint.post(PATH, provide_automatic_options=False)
def request_email() -> Response:
    """A link is on its way to the new address; nothing has changed yet."""
    fields = csrf.check(PURPOSE)
    found = here()
    if found is None:
        return login_redirect(Onward(then="email"))
    fault = services().email_changes.request(found[0], fields.get("email", ""))
    if fault == "session_stale":
        raise not_fresh("email")
    if fault:
        return _page(*found, 400, error=FAULTS[fault])
    return see_other(f"{PATH}?notice=sent")


@blueprint.get(f"{PATH}/confirm", provide_automatic_options=False)
def email_link() -> Response:
    """The page of the link: it asks once more, and changes nothing by itself."""
    found = here()
    come_back_to(PATH)
    if found is None:
        return page(403, Text("Confirm your e-mail address"), SIGN_IN, ("/login", Text("Sign in")))
    token = request.args.get("token", "")
    address = services().email_changes.waiting(found[1].user_id, token) if token else None
    if address is None:
        return _over()
    return show("email_confirm.html", address=address, token=token)


@blueprint.post(f"{PATH}/confirm", provide_automatic_options=False)
def confirm_email() -> Response:
    """The new address counts."""
    fields = csrf.check(PURPOSE)
    found = here()
    if found is None:
        return login_redirect(Onward(then="email"))
    elsewhere = fields.get("elsewhere", "") == "end"
    if not services().email_changes.confirm(found[0], fields.get("token", ""), elsewhere=elsewhere):
        return _over()
    return see_other("/account?notice=email_changed")


def _page(session: SessionView, user: UserRecord, status: int = 200, error: str | None = None) -> Response:
    come_back_to(PATH)
    waiting = services().email_changes.waiting(user.user_id)
    return show("account_email.html", status, user=user, fresh=fresh(session), waiting=waiting, error=error)


def _over() -> Response:
    text = Text("It was used, or its 30 minutes are over, or it belongs to another account.")
    return page(404, Text("This link no longer works"), text, BACK)
