"""The front page of an account: who it is of, and the way to its other pages."""

from __future__ import annotations

from flask import Response

from ...texts import Text
from ..guards import come_back_to, login_redirect, services, show
from .blueprint import blueprint, here, notice

NOTICES = {
    "password_changed": Text("Your password is changed. Everything else that was signed in has ended."),
    "email_changed": Text("Your e-mail address is changed. The old one was told."),
}


@blueprint.get("/account", provide_automatic_options=False)
def home() -> Response:
    """The account of whoever is signed in."""
    found = here()
    if found is None:
        return login_redirect()
    session, user = found
    # not a notice: that was said once
    come_back_to("/account")
    return show(
        "account.html",
        user=user,
        factors=services().mfa.factors(user.user_id),
        session=session,
        erased_at=services().erasure.due_at(user.user_id),
        notice=notice(NOTICES),
    )
