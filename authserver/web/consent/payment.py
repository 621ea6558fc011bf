"""The approval of a payment: a page that reads like a receipt, and a factor for exactly what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from flask import Response, jsonify
from sqlalchemy import Connection

from ... import context, crypto
from ...acr import PHISHING_RESISTANT
from ...audit import Entry, Event
from ...errors import Unavailable
from ...interaction import Next, Step
from ...login import SessionView
from ...login.mfa import Spent
from ...login.payment_factors import Ended, Proved
from ...oauth.authorization_response import Approval, Late
from ...oauth.consent import Shown
from ...oauth.interactions import InteractionRecord
from ...oauth.payment import Account, paid_from
from ...oauth.payment_evidence import Statement, new_nonce
from ...oauth.sca_exemptions import Case
from ...texts import Text
from ..guards import (
    CODE_FAILED,
    Refused,
    allow_form_redirect,
    analysis_of,
    deliver,
    keep_session,
    language,
    services,
    show,
    too_many_tries,
)
from . import wording

PASSKEY_FAILED = Text(
    "That did not work, and nothing was paid. Read the page again, and use your passkey once more."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A payment before its payer: the request, their session, what is due, and what the page tells."""

    interaction: InteractionRecord
    session: SessionView
    due: Next
    told: dict[str, Any]

    @classmethod
    def of(cls, interaction: InteractionRecord, session: SessionView, due: Next) -> Self:
        """What is due, put to the person; who must use a factor may have a choice for the next time."""
        told, pays = wording.asked(interaction), due.step is Step.APPROVE_PAYMENT and due.acr
        choices = services().exemptions.choices(session.user_id, told["payment"]) if pays else ()
        return cls(interaction, session, due, told | {"choices": wording.choices(choices)})

    @property
    def shown(self) -> Shown:
        """What they read, for the form and for the log."""
        return wording.shown(self.told)

    @property
    def codes(self) -> bool:
        """Whether a code approves it."""
        return services().payment_factors.codes and self.due.acr != PHISHING_RESISTANT

    def accounts(self) -> tuple[Account, ...]:
        """What the payer may pay from; Refused while nobody tells."""
        try:
            return services().accounts.of(self.session.user_id)
        except Unavailable as error:
            entry = Entry(Event.DEPENDENCY_FAILED, "failed", error.dependency, user_id=self.session.user_id)
            services().audit.record(entry)
            title = Text("Your accounts cannot be shown now")
            text = Text("Nothing was paid. Wait a moment and try again.")
            again = (f"/authorize/resume?request={self.interaction.id}", Text("Try again"))
            raise Refused(503, title, text, again) from error

    def account(self, iban: str) -> Account | None:
        """The payer's account of this number; never one that only the form knows."""
        return next((account for account in self.accounts() if account.iban == iban), None)

    def statement(self, account: Account, nonce: str, next_time: str = "") -> Statement:
        """What they approve by paying from ``account``; of what was no choice for them nothing is chosen."""
        request, choices = self.interaction.request, self.told["choices"]
        assert request.payment is not None
        chosen = next((choice for choice in choices if choice == next_time), wording.ASK)
        return Statement(
            payment=paid_from(request.payment, account),
            client_id=request.client_id,
            # the id itself opens the page: what rests of it is its digest
            request_id=crypto.b64u(crypto.digest(self.interaction.id)),
            nonce=nonce,
            language=language(),
            lines=wording.lines(self.told, account, chosen),
            next_time=chosen if choices else None,
        )


def page(question: Question, status: int = 200, **more: Any) -> Response:
    """The receipt, the accounts to pay from, and the factors that approve it."""
    allow_form_redirect()
    rooms = services()
    factors = rooms.mfa.factors(question.session.user_id)
    values: dict[str, Any] = {
        "txn": question.interaction.id,
        "shown": question.shown.digest,
        "user": rooms.users.get(question.session.user_id),
        "accounts": question.accounts(),
        "exempt": not question.due.acr,
        "codes": bool(question.due.acr and question.codes and factors.totp and not factors.totp_rests),
        "rests": question.codes and factors.totp_rests,
        "passkeys": bool(question.due.acr and factors.passkeys),
        **question.told,
        **more,
    }
    return show("approve_payment.html", status, **values)


def approve(question: Question, fields: dict[str, str]) -> Response:
    """The code for the client once a factor has approved it; the page again with what is wrong."""
    account = question.account(fields.get("account", ""))
    if account is None:
        return page(question, 400, missing_account=True)
    if not question.due.acr:
        return _answer(question, _exempt(question, account))
    if refused := too_many_tries():
        return refused
    by_passkey = bool(fields.get("assertion"))
    error = PASSKEY_FAILED if by_passkey else CODE_FAILED
    nonce = fields.get("nonce", "") if by_passkey else new_nonce()
    statement = question.statement(account, nonce, fields.get("next_time", ""))
    proved = _proved(question, statement, fields)
    if proved is None:
        return page(question, 401, chosen=account.iban, error=error)
    try:
        response = _answer(question, _approval(statement, proved))
    except Spent:
        services().payment_factors.replayed(proved)
        return page(question, 401, chosen=account.iban, error=error)
    except Ended as error:
        raise Late from error
    services().login_limits.succeeded(context.current.get().address)
    keep_session(response, proved.cookie)
    return response


def challenge(question: Question, account: Account, next_time: str) -> Response:
    """What the browser asks a passkey with: a challenge for exactly what is shown and chosen on the page."""
    statement = question.statement(account, new_nonce(), next_time)
    options = services().payment_factors.options(question.session, statement.challenge)
    return jsonify(nonce=statement.nonce, publicKey=options)


def _proved(question: Question, statement: Statement, fields: dict[str, str]) -> Proved | None:
    """What was proved for the statement; None if nothing, or not by what approves it."""
    factors = services().payment_factors
    if assertion := fields.get("assertion"):
        return factors.by_passkey(question.session, assertion, statement.challenge)
    code = fields.get("code", "")
    # nobody guesses by leaving it out
    return factors.by_code(question.session, code) if code and question.codes else None


def _answer(question: Question, approval: Approval) -> Response:
    rooms = services()
    return deliver(rooms.authorization_responses.paid(question.interaction, approval, question.shown))


def _approval(statement: Statement, proved: Proved) -> Approval:
    def spend_in(connection: Connection) -> SessionView:
        return services().payment_factors.spend_in(connection, proved)

    return Approval(statement, proved.kind, proved.members, spend_in)


def _exempt(question: Question, account: Account) -> Approval:
    """An approval by a click alone; Late if the exemption is used up, or another one, meanwhile."""
    payment, session = question.interaction.request.payment, question.session
    assert payment is not None
    case = Case(session.user_id, payment, analysis_of(question.interaction, session))
    exempt = services().exemptions.apply(case)
    if exempt is None:
        raise Late

    def spend_in(connection: Connection) -> SessionView:
        if not services().exemptions.hold_in(connection, case, exempt):
            raise Late
        return session

    return Approval(question.statement(account, new_nonce()), "exemption", exempt.proof, spend_in)
