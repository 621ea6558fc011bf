"""The second factor: one form for the code, one answer to everything that is wrong with it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from .. import context
from ..acr import PHISHING_RESISTANT
from ..interaction import Next, Step
from ..login import SessionView
from ..login.webauthn import Ceremony, Purpose
from ..texts import Text
from . import csrf
from .guards import (
    CODE_FAILED,
    Onward,
    allow_form_redirect,
    asking,
    come_back_to,
    due,
    keep_session,
    login_redirect,
    place,
    see_other,
    services,
    show,
    started_session,
    too_many_tries,
)

blueprint = Blueprint("mfa", __name__)

PURPOSE = "mfa"
KINDS = ("totp", "recovery_code")
PASSKEY_FAILED = Text("That did not work. Try your passkey again, or use another way.")


@blueprint.get("/mfa", provide_automatic_options=False)
def form() -> Response:
    """The form for a code, while a second factor is due; on to whatever else is."""
    session, onward = started_session(), Onward.of(request.args)
    if session is None:
        return login_redirect(onward)
    step = due(onward, session)
    return _page(session, onward, step) if step.step is Step.MFA else see_other(place(step, onward))


@blueprint.post("/mfa", provide_automatic_options=False)
def submit() -> Response:
    """The session is raised and renewed, or the form again."""
    fields = csrf.check(PURPOSE)
    session, onward = started_session(), Onward.of(fields)
    if session is None:
        return login_redirect(onward)
    step = due(onward, session)
    if step.step is not Step.MFA:
        return see_other(place(step, onward))
    if refused := too_many_tries():
        return refused
    kind = fields.get("factor", "totp")
    if kind == "webauthn":
        cookie = _by_passkey(session, fields.get("answer", ""))
    elif kind in KINDS:
        cookie = services().mfa.prove(session, kind, fields.get("code", ""), context.current.get().address)
    else:
        return _page(session, onward, step, 400)
    if cookie is None:
        error = PASSKEY_FAILED if kind == "webauthn" else CODE_FAILED
        return _page(session, onward, step, 401, error, kind)
    response = see_other(onward.path)
    keep_session(response, cookie)
    return response


def _by_passkey(session: SessionView, answer: str) -> str | None:
    """The cookie of the session as raised by a passkey of its person; None if it was not proved."""
    rooms = services()
    ceremony = Ceremony(Purpose.MFA, session.sid, session.user_id)
    assertion = rooms.passkeys.assertions.verify(answer, ceremony)
    if assertion is None:
        return None
    return rooms.mfa.prove_by_passkey(session, assertion, context.current.get().address)


def _page(
    session: SessionView,
    onward: Onward,
    step: Next,
    status: int = 200,
    error: str | None = None,
    kind: str = "totp",
) -> Response:
    allow_form_redirect()
    come_back_to(onward.by("/mfa"))
    factors = services().mfa.factors(session.user_id)
    asked = asking(onward.request_id) if onward.request_id else None
    codes = step.acr != PHISHING_RESISTANT or not factors.passkeys
    return show(
        "mfa.html", status, onward=onward, factors=factors, codes=codes, kind=kind, asked=asked, error=error
    )
