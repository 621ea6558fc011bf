"""Authorization responses (RFC 6749 §4.1.2): an interaction ends in exactly one, a code or an error.

All that an answer changes is one transaction: the interaction is finished, consent and authorization are
there, the code and the audit rows with them, or none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, update

from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.session import Session
from ..users import TrustedPayees
from . import payment
from .authorizations import Authorizations
from .authorizations import LoggedIn as Decided
from .consent import Consents, Shown
from .interactions import InteractionRecord, Interactions
from .payment_evidence import Evidence, Kind, PaymentEvidences, Statement
from .response_mode import Reply, error_reply, reply

sessions = table_of(Session)
ASK_FIRST = "The person would have to be asked first."
REFUSALS = {
    "unmet_authentication_requirements": "The authentication context class that was asked for is not reached."
}


class LoggedIn(Decided, Protocol):
    """The session in which a person answers."""

    @property
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Approval:
    """How a payer approved ``statement``: what they proved, and what goes into the evidence of it.

    ``spend_in`` spends the proof in the transaction that answers, and gives the session as it is then; what
    it raises undoes everything.
    """

    statement: Statement
    kind: Kind
    proof: Mapping[str, str]
    spend_in: Callable[[Connection], LoggedIn]


class Late(Exception):
    """What the answer rests on has changed since it was read: nothing was written, ask anew."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What answers are made of."""

    interactions: Interactions
    consents: Consents
    authorizations: Authorizations
    evidences: PaymentEvidences
    payees: TrustedPayees
    audit: Audit


class AuthorizationResponses:
    """Answers interactions."""

    def __init__(self, issuer: str, database: Database, rooms: Rooms) -> None:
        self._issuer = issuer
        self._database = database
        self._interactions = rooms.interactions
        self._consents = rooms.consents
        self._authorizations = rooms.authorizations
        self._evidences = rooms.evidences
        self._payees = rooms.payees
        self._audit = rooms.audit

    def recalled(self, interaction: InteractionRecord, session: LoggedIn) -> Reply:
        """The code for what was allowed before; Late when it is answered, expired, or no longer allowed."""
        request = interaction.request
        if not self._consents.recallable(request):
            raise Late
        with self._database.writing() as connection:
            self._hold_in(connection, interaction, session)
            grant_id = self._consents.recall_in(connection, request, session.user_id)
            if grant_id is None:
                raise Late
            code, _ = self._authorizations.complete_in(connection, request, session, grant_id, None)
        return reply(request.target, self._issuer, {"code": code})

    def approved(
        self, interaction: InteractionRecord, session: LoggedIn, shown: Shown | None = None
    ) -> Reply:
        """The code for what the person has just allowed; Late as above.

        ``shown`` is what they read, for the audit log.
        """
        request = interaction.request
        assert request.payment is None  # that is approved by more than a click
        details = request.authorization_details
        with self._database.writing() as connection:
            self._hold_in(connection, interaction, session)
            grant_id = self._consents.remember_in(connection, request, session.user_id, shown)
            code, _ = self._authorizations.complete_in(connection, request, session, grant_id, details)
        return reply(request.target, self._issuer, {"code": code})

    def paid(self, interaction: InteractionRecord, approval: Approval, shown: Shown | None = None) -> Reply:
        """The code for a payment that was approved, its evidence kept in the same transaction; Late as above.

        What is asked for besides the payment is allowed with it.
        """
        request = interaction.request
        evidence = Evidence.of(approval.statement, approval.kind, approval.proof)
        paid = {**approval.statement.payment, "approval": evidence.reference}
        details = [
            paid if element["type"] == payment.TYPE else element
            for element in request.authorization_details or ()
        ]
        with self._database.writing() as connection:
            if not self._interactions.finish_in(connection, interaction.id):
                raise Late
            session = approval.spend_in(connection)
            self._hold_session_in(connection, session)
            grant_id = self._consents.remember_in(connection, request, session.user_id, shown)
            code, gid = self._authorizations.complete_in(connection, request, session, grant_id, details)
            self._evidences.keep_in(connection, evidence, session, gid, request.client_id)
            chosen = approval.statement.next_time
            # a list is made with a factor alone (PSD2 RTS art. 13(1) and 14(1))
            if chosen in ("payee", "amount") and approval.kind != "exemption":
                self._payees.add_in(connection, session, paid, chosen, evidence.evidence_id)
        return reply(request.target, self._issuer, {"code": code})

    def denied(self, interaction: InteractionRecord, user_id: str = "") -> Reply:
        """access_denied: the person does not want it; Late when it is answered already."""
        request = interaction.request
        with self._database.writing() as connection:
            if not self._interactions.finish_in(connection, interaction.id, late=True):
                raise Late
            entry = Entry(Event.CONSENT_DENIED, "denied", "user", request.client_id, user_id)
            self._audit.record_in(connection, entry)
        return error_reply(request.target, self._issuer, "access_denied", "The person did not allow it.")

    def refused(self, interaction: InteractionRecord, error: str, reason: str) -> Reply:
        """``error``: the request cannot be met without asking, and asking is not wanted; Late as above."""
        request = interaction.request
        with self._database.writing() as connection:
            if not self._interactions.finish_in(connection, interaction.id):
                raise Late
            entry = Entry(Event.AUTHZ_REJECTED, "denied", reason, request.client_id)
            self._audit.record_in(connection, entry)
        return error_reply(request.target, self._issuer, error, REFUSALS.get(error, ASK_FIRST))

    def _hold_in(self, connection: Connection, interaction: InteractionRecord, session: LoggedIn) -> None:
        """The interaction is finished by this transaction, and the session does not end before it."""
        if not self._interactions.finish_in(connection, interaction.id):
            raise Late
        self._hold_session_in(connection, session)

    @staticmethod
    def _hold_session_in(connection: Connection, session: LoggedIn) -> None:
        alive = (sessions.c.digest == session.digest) & sessions.c.ended_at.is_(None)
        held = update(sessions).where(alive).values(last_seen_at=sessions.c.last_seen_at)
        if connection.execute(held).rowcount != 1:
            raise Late
