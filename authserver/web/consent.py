"""The question: what an application asks for, and the two answers to it. A payment reads like a receipt."""

from __future__ import annotations

import json
from typing import Any

from babel.numbers import get_decimal_symbol
from flask import Blueprint, Response, request

from .. import clock, crypto
from ..clients.redirect_uris import place_of
from ..interaction import Step
from ..login import SessionView
from ..oauth.authorization_response import Late
from ..oauth.consent import Shown
from ..oauth.interactions import InteractionRecord
from ..oauth.payment import Account
from . import csrf
from .guards import (
    allow_form_redirect,
    claim,
    deliver,
    language,
    see_other,
    services,
    show,
    started_session,
    translated,
    within_limits,
)

blueprint = Blueprint("consent", __name__)

PURPOSE = "consent"
NARROW_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"
ASKING = (Step.CONSENT, Step.APPROVE_PAYMENT)


@blueprint.app_template_filter("money")
def money(amount: dict[str, str]) -> str:
    """An amount for people: ``1 234.50 EUR``, in German ``1 234,50 EUR``.

    Thousands are set apart by a space that does not break: a point or comma is decimal in one language and
    not in another.
    """
    whole, point, rest = amount["amount"].partition(".")
    thousands = f"{int(whole):,}".replace(",", NARROW_SPACE)
    decimals = get_decimal_symbol(language()) + rest if point else ""
    return f"{thousands}{decimals}{NO_BREAK_SPACE}{amount['currency']}"


@blueprint.app_template_filter("iban")
def iban(text: str) -> str:
    """An IBAN in groups of four, as it is printed (ISO 13616)."""
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


@blueprint.get("/consent", provide_automatic_options=False)
def ask() -> Response:
    """The page of an authorization that waits for its answer; back to resume when something else is due."""
    within_limits("resume")
    interaction = claim(request.args.get("request"))
    session = started_session()
    rooms = services()
    step = rooms.steps.due(interaction, session, clock.now()).step
    if session is None or step not in ASKING:
        return _resume(interaction)
    return _page(interaction, session, step)


@blueprint.post("/consent", provide_automatic_options=False)
def answer() -> Response:
    """The code, or access_denied; exactly one answer however often it is sent."""
    within_limits("resume")
    fields = csrf.check(PURPOSE)
    rooms = services()
    interaction = claim(fields.get("txn"))
    shown = _shown(_asked(interaction))
    session = started_session()
    step = rooms.steps.due(interaction, session, clock.now()).step
    if session is None or step not in (*ASKING, Step.DONE):
        return _resume(interaction)
    try:
        match fields.get("decision"):
            case "approve" if fields.get("shown") != shown.digest:
                # what a person allows is what they read: the words have changed under the open page
                return _page(interaction, session, step, status=409, changed=True)
            case "approve" if interaction.request.payment is not None:
                account = _account(session, fields.get("account", ""))
                if account is None:
                    return _page(interaction, session, step, status=400, missing_account=True)
                reply = rooms.authorization_responses.approved(interaction, session, account, shown)
            case "approve":
                reply = rooms.authorization_responses.approved(interaction, session, shown=shown)
            case "deny":
                reply = rooms.authorization_responses.denied(interaction, session.user_id)
            case _:
                return _page(interaction, session, step, status=400)
    except Late:
        # answered meanwhile, in another tab or by a second click: the page says so
        claim(interaction.id)
        return _resume(interaction)
    return deliver(reply)


def _resume(interaction: InteractionRecord) -> Response:
    return see_other(f"/authorize/resume?request={interaction.id}")


def _account(session: SessionView, iban: str) -> Account | None:
    """The payer's account of this number; never one that only the form knows."""
    return next((a for a in services().accounts.of(session.user_id) if a.iban == iban), None)


def _page(
    interaction: InteractionRecord, session: SessionView, step: Step, status: int = 200, **more: Any
) -> Response:
    allow_form_redirect()
    rooms, asked = services(), _asked(interaction)
    values: dict[str, Any] = {
        "txn": interaction.id,
        "shown": _shown(asked).digest,
        "user": rooms.users.get(session.user_id),
        **asked,
        **more,
    }
    if step is not Step.APPROVE_PAYMENT and asked["payment"] is None:
        return show("consent.html", status, **values)
    accounts = rooms.accounts.of(session.user_id)
    without_sca = rooms.settings.payment_sca == "none"
    return show("approve_payment.html", status, accounts=accounts, without_sca=without_sca, **values)


def _asked(interaction: InteractionRecord) -> dict[str, Any]:
    """What the page tells of the request, as it stands now and in its language.

    The client and where it gets the answer, the sentences of scopes, the payment and its amount in words.
    """
    rooms, asked = services(), interaction.request
    known = rooms.scopes.all()
    # what a receipt tells in detail is not told again in general
    told = {detail["type"] for detail in asked.authorization_details or ()}
    scopes = [known[name] for name in asked.consent_scopes if name in known]
    client = rooms.clients.get(asked.client_id)
    return {
        "client": client,
        "host": place_of(asked.redirect_uri, client.application_type if client else "web"),
        "scopes": [
            scope.sentence(language()) for scope in scopes if scope.authorization_details_type not in told
        ],
        "payment": asked.payment,
        "amount": money(asked.payment["instructedAmount"]) if asked.payment else "",
    }


def _shown(asked: dict[str, Any]) -> Shown:
    """The page's language, and a digest that goes into the form: two pages share it if they say the same."""
    client = asked["client"]
    name = client.client_name if client else None
    words = [language(), name, translated(asked["host"]), asked["scopes"], asked["payment"], asked["amount"]]
    return Shown(language(), crypto.b64u(crypto.digest(json.dumps(words))))
