"""Where a person is signed in, and the end of it."""

from __future__ import annotations

from flask import Response

from ...texts import Text
from .. import csrf
from ..guards import (
    Onward,
    come_back_to,
    current_session,
    forget_session,
    login_redirect,
    page,
    see_other,
    services,
    show,
)
from .blueprint import PURPOSE, blueprint, here, notice
from .paging import Turning

PATH = "/account/sessions"
BACK = (PATH, Text("Where you are signed in"))
NOTICES = {"session_ended": Text("That session has ended.")}


@blueprint.get(PATH, provide_automatic_options=False)
def signed_in() -> Response:
    """Every browser that is signed in: its device, place and times."""
    found = here()
    if found is None:
        return login_redirect(Onward(then="sessions"))
    session, user = found
    turning = Turning(PATH, ("sessions",))
    come_back_to(turning.here)
    part = turning.part(
        "sessions", lambda first, most: services().sessions.list(user.user_id, first, most, session.sid)
    )
    return show(
        "account_sessions.html", session=session, sessions=part, turn=turning.to, notice=notice(NOTICES)
    )


@blueprint.post(f"{PATH}/end", provide_automatic_options=False)
def end_session() -> Response:
    """One of the person's own sessions has ended."""
    fields = csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    if not services().sessions.end(fields.get("sid", ""), "by_user", session.user_id):
        return page(404, Text("There is no such session"), Text("It has ended already."), BACK)
    return see_other(f"{PATH}?notice=session_ended")


@blueprint.post(f"{PATH}/end-all", provide_automatic_options=False)
def end_all_sessions() -> Response:
    """Every session of the person has ended, this one with them."""
    csrf.check(PURPOSE)
    session = current_session()
    if session is None:
        return login_redirect()
    services().sessions.end_all(session.user_id, "by_user")
    return forget_session(see_other("/login?notice=signed_out_everywhere"))
