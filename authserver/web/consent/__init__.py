"""The question: what an application asks for, and the two answers to it. A payment reads like a receipt."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from ...interaction import Step
from ...login import SessionView
from ...oauth.authorization_response import Late
from ...oauth.interactions import InteractionRecord
from .. import csrf
from ..guards import (
    allow_form_redirect,
    claim,
    deliver,
    see_other,
    services,
    show,
    started_session,
    step_due,
    within_limits,
)
from . import payment, wording
from .payment import Question

blueprint = Blueprint("consent", __name__)
blueprint.add_app_template_filter(wording.money, "money")
blueprint.add_app_template_filter(wording.iban, "iban")

PURPOSE = "consent"
ASKING = (Step.CONSENT, Step.APPROVE_PAYMENT)


@blueprint.get("/consent", provide_automatic_options=False)
def ask() -> Response:
    """The page of an authorization that waits for its answer; back to resume when something else is due."""
    within_limits("resume")
    interaction = claim(request.args.get("request"))
    session = started_session()
    due = step_due(interaction, session)
    if session is None or due.step not in ASKING:
        return _resume(interaction)
    question = Question.of(interaction, session, due)
    if due.step is Step.APPROVE_PAYMENT:
        return payment.page(question)
    return _page(interaction, session, question.told)


@blueprint.post("/consent", provide_automatic_options=False)
def answer() -> Response:
    """The code, or access_denied; exactly one answer however often it is sent."""
    within_limits("resume")
    fields = csrf.check(PURPOSE)
    interaction = claim(fields.get("txn"))
    session = started_session()
    due = step_due(interaction, session)
    if session is None or due.step not in (*ASKING, Step.DONE):
        return _resume(interaction)
    question = Question.of(interaction, session, due)
    try:
        return _decided(question, fields)
    except Late:
        # answered meanwhile, in another tab or by a second click: the page says so
        claim(interaction.id)
        return _resume(interaction)


@blueprint.post("/consent/payment-challenge", provide_automatic_options=False)
def challenge() -> Response:
    """JSON for the page's script: what to ask a passkey with. 409 when the page is no longer what is due."""
    within_limits("resume")
    fields = csrf.check(PURPOSE)
    interaction = claim(fields.get("txn"))
    session = started_session()
    due = step_due(interaction, session)
    if session is None or due.step is not Step.APPROVE_PAYMENT or not due.acr:
        return _no_challenge(409)
    question = Question.of(interaction, session, due)
    if fields.get("shown") != question.shown.digest:
        return _no_challenge(409)
    account = question.account(fields.get("account", ""))
    if account is None:
        return _no_challenge(400)
    return payment.challenge(question, account, fields.get("next_time", ""))


def _no_challenge(status: int) -> Response:
    response = jsonify(error="reload")
    response.status_code = status
    return response


def _decided(question: Question, fields: dict[str, str]) -> Response:
    responses, interaction, session = (
        services().authorization_responses,
        question.interaction,
        question.session,
    )
    pays = question.due.step is Step.APPROVE_PAYMENT
    match fields.get("decision"):
        case "approve" if fields.get("shown") != question.shown.digest:
            # what a person allows is what they read: the words have changed under the open page
            return _again(question, 409, changed=True)
        case "approve" if pays:
            return payment.approve(question, fields)
        case "approve":
            return deliver(responses.approved(interaction, session, question.shown))
        case "deny":
            return deliver(responses.denied(interaction, session.user_id))
    return _again(question, 400)


def _again(question: Question, status: int, **more: Any) -> Response:
    if question.due.step is Step.APPROVE_PAYMENT:
        return payment.page(question, status, **more)
    return _page(question.interaction, question.session, question.told, status, **more)


def _resume(interaction: InteractionRecord) -> Response:
    return see_other(f"/authorize/resume?request={interaction.id}")


def _page(
    interaction: InteractionRecord,
    session: SessionView,
    told: dict[str, Any],
    status: int = 200,
    **more: Any,
) -> Response:
    allow_form_redirect()
    user = services().users.get(session.user_id)
    given = {"txn": interaction.id, "shown": wording.shown(told).digest, "user": user}
    return show("consent.html", status, **given, **told, **more)
