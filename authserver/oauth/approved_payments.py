"""Payments that people approved: what became of each, and the end of those that can still be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from .. import clock
from ..audit import Audit, Entry, Event
from ..config import Settings
from ..db import Database, table_of
from ..models.authorization import Authorization, AuthorizationCode
from . import rar
from .authorizations import Authorizations

table = table_of(Authorization)
codes = table_of(AuthorizationCode)

# waiting: the client has not fetched it yet; fetched: it has a token for it, or had; missed: it never did;
# ended: withdrawn, signed out or replayed
State = Literal["waiting", "fetched", "missed", "ended"]


@dataclass(frozen=True, slots=True)
class ApprovedPayment:
    """A payment as it was approved at ``created_at``; ``open`` while its client can still use it."""

    gid: str
    client_id: str
    payment: dict[str, Any]
    created_at: int
    state: State
    open: bool


class ApprovedPayments:
    """Lists them, and ends one."""

    def __init__(
        self, settings: Settings, database: Database, authorizations: Authorizations, audit: Audit
    ) -> None:
        self._token_seconds = settings.access_token_lifetime
        self._database = database
        self._authorizations = authorizations
        self._audit = audit

    def of(self, user_id: str, first: int, most: int) -> list[ApprovedPayment]:
        """``most`` of what the person approved, the newest first, from the one at ``first`` on."""
        query = (
            select(table, codes.c.used_at, codes.c.expires_at.label("fetched_by"))
            .join_from(table, codes, codes.c.gid == table.c.gid)
            .where(table.c.user_id == user_id, table.c.pays)
            .order_by(table.c.created_at.desc(), table.c.gid)
            .limit(most)
            .offset(first)
        )
        with self._database.reading() as connection:
            return [self._judged(row) for row in connection.execute(query).mappings()]

    def withdraw(self, user_id: str, gid: str) -> bool:
        """The payment can no longer be used; False if it could not, or is not the person's."""
        with self._database.writing() as connection:
            query = select(table.c.client_id).where(table.c.gid == gid)
            client_id = str(connection.execute(query).scalar() or "")
            if not self._authorizations.end_payment_in(connection, user_id, gid):
                return False
            entry = Entry(
                Event.CONSENT_WITHDRAWN,
                reason="payment",
                client_id=client_id,
                user_id=user_id,
                detail={"gid": gid},
            )
            self._audit.record_in(connection, entry)
        return True

    def _judged(self, row: Any) -> ApprovedPayment:
        payment = rar.payment_of(row["authorization_details"])
        assert payment is not None  # or the row were not for one
        now, state = clock.now(), _state(row)
        usable_until = row["fetched_by"] if row["used_at"] is None else row["used_at"] + self._token_seconds
        open_ = state in ("waiting", "fetched") and usable_until > now
        return ApprovedPayment(row["gid"], row["client_id"], payment, row["created_at"], state, open_)


def _state(row: Any) -> State:
    if row["ended_at"] is not None:
        return "ended"
    if row["used_at"] is not None:
        return "fetched"
    return "waiting" if row["fetched_by"] > clock.now() else "missed"
