"""Authorization responses (RFC 6749 §4.1.2): an interaction ends in exactly one, a code or an error.

All that an answer changes is one transaction: the interaction is finished, consent and authorization are
there, the code and the audit rows with them, or none of it.
"""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection, update

from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.session import Session
from . import payment
from .authorization_request import AuthorizationRequest
from .authorizations import Authorizations
from .authorizations import LoggedIn as Decided
from .consent import Consents, Shown
from .interactions import InteractionRecord, Interactions
from .payment import Account
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


class Late(Exception):
    """What the answer rests on has changed since it was read: nothing was written, ask anew."""


class AuthorizationResponses:
    """Answers interactions."""

    def __init__(
        self,
        issuer: str,
        database: Database,
        interactions: Interactions,
        consents: Consents,
        authorizations: Authorizations,
        audit: Audit,
    ) -> None:
        self._issuer = issuer
        self._database = database
        self._interactions = interactions
        self._consents = consents
        self._authorizations = authorizations
        self._audit = audit

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
            code = self._authorizations.complete_in(connection, request, session, grant_id, None)
        return reply(request.target, self._issuer, {"code": code})

    def approved(
        self,
        interaction: InteractionRecord,
        session: LoggedIn,
        account: Account | None = None,
        shown: Shown | None = None,
    ) -> Reply:
        """The code for what the person has just allowed, a payment out of ``account``; Late as above.

        ``shown`` is what they read, for the audit log.
        """
        request = interaction.request
        details = _as_approved(request, account)
        with self._database.writing() as connection:
            self._hold_in(connection, interaction, session)
            grant_id = self._consents.remember_in(connection, request, session.user_id, shown)
            code = self._authorizations.complete_in(connection, request, session, grant_id, details)
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
        alive = (sessions.c.digest == session.digest) & sessions.c.ended_at.is_(None)
        held = update(sessions).where(alive).values(last_seen_at=sessions.c.last_seen_at)
        if not self._interactions.finish_in(connection, interaction.id):
            raise Late
        if connection.execute(held).rowcount != 1:
            raise Late


def _as_approved(request: AuthorizationRequest, account: Account | None) -> list[dict[str, Any]] | None:
    """The details as they go into tokens: each payment with the account that the payer chose."""
    if request.authorization_details is None:
        return None
    approved = []
    for element in request.authorization_details:
        if element["type"] == payment.TYPE:
            assert account is not None
            approved.append(payment.paid_from(element, account))
        else:
            approved.append(element)
    return approved
