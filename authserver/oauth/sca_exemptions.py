"""Payments without strong customer authentication: exemptions that a policy may allow, each off by default.

Of those that Delegated Regulation (EU) 2018/389 has, these are here, in the order in which they are tried:

- low value (art. 16), for payments of up to 30 EUR, as long as those since the last one with strong
  authentication are neither more than 100 EUR together, this one included, nor more than five. The
  regulation lets a bank choose one of the two bounds; both are kept here;
- a payee whom the payer trusts (art. 13), and one amount to a payee (art. 14), chosen with a factor;
- transaction risk analysis (art. 18), up to the threshold that the operator's fraud rate allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

from sqlalchemy import ColumnElement, Connection, func, select

from .. import clock
from ..config import Settings
from ..db import Database
from ..users import Attempts, TrustedPayees
from ..users.trusted_payees import Extent, Found
from .payment_evidence import table

MOST_CENTS = 30_00
MOST_CENTS_IN_A_ROW = 100_00
MOST_IN_A_ROW = 5
# so many exempt ones in a day without one with strong authentication are no usual spending (art. 18)
MOST_A_DAY, DAY = 5, 86_400
# art. 18 looks at where the payee is: accounts of the European Economic Area alone
EEA = frozenset({
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT",
    "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO",
})  # fmt: skip

Name = Literal["low_value", "trusted_payee", "recurring", "low_risk"]


class Analysis(Protocol):
    """The real-time analysis of one payment (art. 18(2)(c))."""

    def prepare(self) -> None:
        """What takes other means than the database is looked up; for when no transaction is open."""

    def finds_nothing_in(self, connection: Connection) -> bool:
        """Whether everything that is looked at is known and as usual."""


@dataclass(frozen=True, slots=True)
class Case:
    """A payment before its payer, and the analysis of it; None where there is none."""

    user_id: str
    payment: Mapping[str, Any]
    analysis: Analysis | None = None


@dataclass(frozen=True, slots=True)
class Exempt:
    """Why a payment needs no factor; ``found`` is the entry of the payer's list that it fits, if one does."""

    name: Name
    cents: int | None
    found: Found | None = None

    @property
    def proof(self) -> dict[str, str]:
        """What the evidence of the payment says of it."""
        told: dict[str, str] = {"exemption": self.name}
        told |= {} if self.cents is None else {"cents": str(self.cents)}
        return told if self.found is None else told | {"listEvidence": self.found.evidence_id}


class Exemptions:
    """Judges who may pay without a second factor; each use is kept as evidence and counted from it."""

    def __init__(self, settings: Settings, database: Database, payees: TrustedPayees) -> None:
        self._low_value = settings.sca_exempt_low_value
        self._lists: dict[Extent, Name] = {}
        if settings.sca_exempt_trusted_payee:
            self._lists["payee"] = "trusted_payee"
        if settings.sca_exempt_recurring:
            self._lists["amount"] = "recurring"
        self._low_risk = int(settings.sca_exempt_low_risk or 0) * 100
        self._database = database
        self._payees = payees
        self._attempts = Attempts(database)

    @property
    def keeps_lists(self) -> bool:
        """Whether people may trust payees here."""
        return bool(self._lists)

    def apply(self, case: Case) -> Exempt | None:
        """The first one by which the person may approve the payment without a factor, as things stand now."""
        cents = _cents(case.payment)
        if analysis := self._analysis(case, cents):
            analysis.prepare()
        if not self._lists and not analysis and not self._fits_low_value(cents):
            return None
        with self._database.reading() as connection:
            return self._first_in(connection, case, cents)

    def hold_in(self, connection: Connection, case: Case, exempt: Exempt) -> bool:
        """Whether ``apply`` says the same in the transaction that approves, which then holds the person.

        Two payments at once are counted one after the other, and a payee is trusted until it is not.
        """
        if not self._attempts.hold_in(connection, case.user_id):
            return False
        if self._first_in(connection, case, _cents(case.payment)) != exempt:
            return False
        if exempt.found is not None:
            self._payees.used_in(connection, exempt.found)
        return True

    def choices(self, user_id: str, payment: Mapping[str, Any]) -> tuple[Extent, ...]:
        """How the person may trust the payee of ``payment``, whom they approve with a factor."""
        if not self._lists:
            return ()
        with self._database.reading() as connection:
            listed = {
                extent for extent in self._lists if self._payees.find_in(connection, user_id, payment, extent)
            }
            if "payee" in listed or self._payees.full_in(connection, user_id):
                return ()
        return tuple(extent for extent in self._lists if extent not in listed)

    def _first_in(self, connection: Connection, case: Case, cents: int | None) -> Exempt | None:
        if self._fits_low_value(cents) and _bounds_kept(connection, case.user_id, cents or 0):
            return Exempt("low_value", cents)
        for extent, name in self._lists.items():
            if found := self._payees.find_in(connection, case.user_id, case.payment, extent):
                return Exempt(name, cents, found)
        analysis = self._analysis(case, cents)
        if analysis is None or not _few_lately(connection, case.user_id):
            return None
        return Exempt("low_risk", cents) if analysis.finds_nothing_in(connection) else None

    def _fits_low_value(self, cents: int | None) -> bool:
        return self._low_value and cents is not None and cents <= MOST_CENTS

    def _analysis(self, case: Case, cents: int | None) -> Analysis | None:
        """What the payment must be judged by to be exempt as of low risk; None if it never is."""
        fits = cents is not None and cents <= self._low_risk
        return case.analysis if fits and case.payment["creditorAccount"]["iban"][:2] in EEA else None


def _cents(payment: Mapping[str, Any]) -> int | None:
    """The amount in cents; None for another currency than EUR."""
    amount = payment["instructedAmount"]
    return int(Decimal(amount["amount"]) * 100) if amount["currency"] == "EUR" else None


def _bounds_kept(connection: Connection, user_id: str, cents: int) -> bool:
    """Whether one more of ``cents`` keeps both bounds of low value."""
    # of this exemption alone: no other one has an amount in the table
    counted = _since_strong(user_id) & table.c.exempt_cents.is_not(None)
    query = select(func.count(), func.coalesce(func.sum(table.c.exempt_cents), 0)).where(counted)
    number, total = connection.execute(query).one()
    return bool(number < MOST_IN_A_ROW and total + cents <= MOST_CENTS_IN_A_ROW)


def _few_lately(connection: Connection, user_id: str) -> bool:
    """Whether the person paid by exemptions, whichever, less often than is unusual."""
    lately = _since_strong(user_id) & (table.c.created_at > clock.now() - DAY)
    query = select(func.count()).where(lately & (table.c.kind == "exemption"))
    return connection.execute(query).scalar_one() < MOST_A_DAY


def _since_strong(user_id: str) -> ColumnElement[bool]:
    """What the person paid since the last payment with strong authentication."""
    mine = table.c.user_id == user_id
    strong = select(func.max(table.c.created_at)).where(mine, table.c.kind != "exemption")
    # one of the same second as the last strong one may come before or after it: it counts
    return mine & (table.c.created_at >= func.coalesce(strong.scalar_subquery(), 0))
