"""A person's data: a copy of it, and the end of the account."""

from __future__ import annotations

import json

from flask import Response, make_response

from ...texts import Text
from .. import csrf
from ..guards import (
    Onward,
    come_back_to,
    current_session,
    fresh,
    login_redirect,
    not_fresh,
    page,
    see_other,
    services,
    show,
)
from .blueprint import PURPOSE, blueprint, here, notice

PATH = "/account/data"
BACK = (PATH, Text("Your data"))
NOTICES = {
    "kept": Text("Your account stays."),
    "erasure_requested": Text("Your account will be deleted. You can change your mind until then."),
}
# a form of its own: what signs somebody out, say, deletes nothing
ERASURE = "erasure"


@blueprint.get(PATH, provide_automatic_options=False)
def overview() -> Response:
    """What can be had and what can be deleted; nothing changes."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="data"))
    session, user = found
    come_back_to(PATH)
    return show(
        "account_data.html",
        fresh=fresh(session),
        erased_at=services().erasure.due_at(user.user_id),
        notice=notice(NOTICES),
    )


@blueprint.post(f"{PATH}/export", provide_automatic_options=False)
def export() -> Response:
    """The person's data as one JSON document."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="data"))
    made = services().export.made(session)
    if made is None:
        raise not_fresh("data")
    response = make_response(json.dumps(made, ensure_ascii=False, indent=2))
    response.mimetype = "application/json"
    response.headers["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return response


@blueprint.get(f"{PATH}/delete", provide_automatic_options=False)
def ask_to_delete() -> Response:
    """What goes, what stays and for how long; nothing changes."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="data"))
    come_back_to(f"{PATH}/delete")
    return show("account_delete.html", fresh=fresh(found[0]))


@blueprint.post(f"{PATH}/delete", provide_automatic_options=False)
def delete() -> Response:
    """The account will be deleted after a week."""
    csrf.check(ERASURE)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="data"))
    if not services().erasure.request(session):
        raise not_fresh("data")
    return see_other(f"{PATH}?notice=erasure_requested")


@blueprint.post(f"{PATH}/keep", provide_automatic_options=False)
def keep() -> Response:
    """The account will not be deleted."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect(Onward(then="data"))
    if not services().erasure.cancel(session.user_id):
        return page(404, Text("Nothing is to be deleted"), Text("Your account stays as it is."), BACK)
    return see_other(f"{PATH}?notice=kept")
