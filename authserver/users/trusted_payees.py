"""Payees that a person trusts: payments to them need no factor again (PSD2 RTS art. 13 and 14).

Who they are rests sealed; a payment is compared with the list by MACs, which bind an entry to its person.
What was ended rests on for as long as a payment that it let through may be disputed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, func, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..mail import Mail
from ..models.trusted_payee import TrustedPayee
from ..models.user import User
from ..purge import PAYMENT_KEPT
from .attempts import Attempts

table = table_of(TrustedPayee)
users = table_of(User)

PURPOSE = "trusted_payee.mac"
# of one person
MOST = 50

# trusted with any amount (art. 13), or with one amount of one currency (art. 14)
Extent = Literal["payee", "amount"]


class LoggedIn(Protocol):
    """The session in which a payee was trusted."""

    @property
    def sid(self) -> str: ...
    @property
    def user_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Trusted:
    """An entry of a person's list; ``amount`` is {``amount``, ``currency``}, None for any."""

    id: str
    name: str
    iban: str
    amount: dict[str, str] | None
    created_at: int
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """The entry that a payment fits, and the evidence by which it was made."""

    id: str
    evidence_id: str


class TrustedPayees:
    """Keeps people's lists."""

    def __init__(self, database: Database, master: crypto.MasterKeys, audit: Audit, mail: Mail) -> None:
        self._database = database
        self._master = master
        self._audit = audit
        self._mail = mail
        self._attempts = Attempts(database)

    def find_in(
        self, connection: Connection, user_id: str, payment: Mapping[str, Any], extent: Extent
    ) -> Found | None:
        """The entry of this extent that ``payment`` fits; None if there is none."""
        macs = [self._mac(kid, user_id, payment, extent) for kid in self._master.keys]
        query = select(table.c.id, table.c.evidence_id).where(_live(user_id), table.c.mac.in_(macs))
        row = connection.execute(query.order_by(table.c.created_at, table.c.id).limit(1)).one_or_none()
        return None if row is None else Found(row.id, row.evidence_id)

    def full_in(self, connection: Connection, user_id: str) -> bool:
        """Whether the person's list takes no more."""
        count = select(func.count()).select_from(table).where(_live(user_id))
        return connection.execute(count).scalar_one() >= MOST

    @staticmethod
    def used_in(connection: Connection, found: Found) -> None:
        """The entry let a payment through just now."""
        connection.execute(update(table).where(table.c.id == found.id).values(last_used_at=clock.now()))

    def add_in(
        self,
        connection: Connection,
        session: LoggedIn,
        payment: Mapping[str, Any],
        extent: Extent,
        evidence_id: str,
    ) -> None:
        """The payee of ``payment`` is on the person's list, who hears of it and is held by this transaction.

        ``evidence_id`` is of the approval with which they chose that. A full list stays as it is.
        """
        user_id, id_ = session.user_id, crypto.identifier()
        if self.find_in(connection, user_id, payment, extent) or self.full_in(connection, user_id):
            return
        payee = {"name": payment["creditorName"], "iban": payment["creditorAccount"]["iban"]}
        amount = payment["instructedAmount"] if extent == "amount" else {"amount": None, "currency": None}
        values = {
            "id": id_,
            "user_id": user_id,
            "mac": self._mac(self._master.active, user_id, payment, extent),
            "sealed": self._master.seal(json.dumps(payee).encode(), _place(id_, user_id)),
            "amount": amount["amount"],
            "currency": amount["currency"],
            "evidence_id": evidence_id,
            "created_at": clock.now(),
        }
        connection.execute(insert(table).values(values))
        detail = {"payee": id_, "evidence": evidence_id}
        entry = Entry(
            Event.PAYEE_TRUSTED, reason=extent, user_id=user_id, session_id=session.sid, detail=detail
        )
        self._audit.record_in(connection, entry)
        # who it is stays out of the mail: a client chose the name
        self._mail.queue_in(connection, user_id, "payee_trusted")

    def of(self, user_id: str) -> list[Trusted]:
        """The person's list, the newest first."""
        query = select(table).where(_live(user_id)).order_by(table.c.created_at.desc(), table.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(MOST)).mappings().all()
        return [_trusted(row, payee) for row in rows if (payee := self._opened(row))]

    def copy_in(self, connection: Connection, user_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """These ``columns``, name and account of every payee that the person has or had on the list."""
        query = select(table).where(table.c.user_id == user_id).order_by(table.c.created_at, table.c.id)
        rows = connection.execute(query).mappings().all()
        return [{column: row[column] for column in columns} | self._opened(row) for row in rows]

    def end(self, session: LoggedIn, id_: str) -> bool:
        """Payments to that payee need a factor again; False if they did, or it is not the person's entry."""
        which = _live(session.user_id) & (table.c.id == id_)
        with self._database.writing() as connection:
            # a payment that is approved meanwhile holds them too
            if not self._attempts.hold_in(connection, session.user_id) or not _end_in(connection, which):
                return False
            entry = Entry(
                Event.PAYEE_REVOKED,
                reason="by_user",
                user_id=session.user_id,
                session_id=session.sid,
                detail={"payee": id_},
            )
            self._audit.record_in(connection, entry)
        return True

    def _mac(self, kid: str, user_id: str, payment: Mapping[str, Any], extent: Extent) -> bytes:
        """What an entry for the payment is found by."""
        amount = payment["instructedAmount"]
        parts = [extent, user_id, *payee_of(payment)]
        parts += [amount["amount"], amount["currency"]] if extent == "amount" else []
        return crypto.mac(self._master.derive(PURPOSE, kid), *(part.encode() for part in parts))

    def _opened(self, row: Any) -> dict[str, str]:
        """Name and account; nothing once the master key is gone under which no payment fits it either."""
        try:
            return dict(json.loads(self._master.open(row["sealed"], _place(row["id"], row["user_id"]))))
        except crypto.SealBroken:
            return {}


def payee_of(payment: Mapping[str, Any]) -> tuple[str, str]:
    """Whom a payment goes to, as payees are compared: the account, and the name in whatever case."""
    iban = "".join(payment["creditorAccount"]["iban"].split()).upper()
    return iban, payment["creditorName"].casefold()


def forget_all_in(connection: Connection, audit: Audit, user_id: str, reason: str) -> None:
    """The person trusts no payee any more, and is held, as by a payment that is approved meanwhile."""
    connection.execute(select(users.c.user_id).where(users.c.user_id == user_id).with_for_update())
    if count := _end_in(connection, _live(user_id)):
        entry = Entry(Event.PAYEE_REVOKED, reason=reason, user_id=user_id, detail={"payees": count})
        audit.record_in(connection, entry)


def _trusted(row: Any, payee: dict[str, str]) -> Trusted:
    amount = {"amount": row["amount"], "currency": row["currency"]} if row["amount"] else None
    return Trusted(row["id"], payee["name"], payee["iban"], amount, row["created_at"], row["last_used_at"])


def _end_in(connection: Connection, which: Any) -> int:
    now = clock.now()
    ended = update(table).where(which).values(ended_at=now, expires_at=now + PAYMENT_KEPT)
    return connection.execute(ended).rowcount


def _live(user_id: str) -> Any:
    return (table.c.user_id == user_id) & table.c.ended_at.is_(None)


def _place(id_: str, user_id: str) -> str:
    return f"trusted_payee/sealed/{id_}/{user_id}"
