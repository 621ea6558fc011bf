"""Payments without strong customer authentication: exemptions that a policy may allow, off by default.

Of those that Delegated Regulation (EU) 2018/389 has, the one of low value (art. 16) alone is here. It holds
for payments of up to 30 EUR, as long as those since the last one with strong authentication are neither
more than 100 EUR together, this one included, nor more than five. The regulation lets a bank choose one of
the two bounds; both are kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from ..config import Settings
from ..db import Database
from ..users import Attempts
from .payment_evidence import table

NAME = "low_value"
MOST_CENTS = 30_00
MOST_CENTS_IN_A_ROW = 100_00
MOST_IN_A_ROW = 5


class Exemptions:
    """Judges who may pay without a second factor; each use is kept as evidence and counted from it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._low_value = settings.sca_exempt_low_value
        self._database = database
        self._attempts = Attempts(database)

    def apply(self, user_id: str, payment: Mapping[str, Any]) -> bool:
        """Whether the person may approve ``payment`` without one, as things stand now."""
        cents = _cents(payment)
        if not self._low_value or cents is None:
            return False
        with self._database.reading() as connection:
            return _fits(connection, user_id, cents)

    def hold_in(self, connection: Connection, user_id: str, payment: Mapping[str, Any]) -> bool:
        """``apply`` for the transaction that approves, which holds the person.

        Two payments at once are counted one after the other.
        """
        cents = _cents(payment)
        if not self._low_value or cents is None:
            return False
        return self._attempts.hold_in(connection, user_id) and _fits(connection, user_id, cents)


def proof_of(payment: Mapping[str, Any]) -> dict[str, str]:
    """What the evidence of an exempt payment says of it."""
    return {"exemption": NAME, "cents": str(_cents(payment))}


def _cents(payment: Mapping[str, Any]) -> int | None:
    """The amount in cents of a payment that is small enough by itself; None for all others."""
    amount = payment["instructedAmount"]
    if amount["currency"] != "EUR":
        return None
    cents = int(Decimal(amount["amount"]) * 100)
    return cents if cents <= MOST_CENTS else None


def _fits(connection: Connection, user_id: str, cents: int) -> bool:
    """Whether one more of ``cents`` keeps both bounds."""
    mine = table.c.user_id == user_id
    strong = select(func.max(table.c.created_at)).where(mine, table.c.exempt_cents.is_(None))
    # one of the same second as the last strong one may come before or after it: it counts
    since = mine & table.c.exempt_cents.is_not(None)
    since &= table.c.created_at >= func.coalesce(strong.scalar_subquery(), 0)
    query = select(func.count(), func.coalesce(func.sum(table.c.exempt_cents), 0)).where(since)
    number, total = connection.execute(query).one()
    return bool(number < MOST_IN_A_ROW and total + cents <= MOST_CENTS_IN_A_ROW)
