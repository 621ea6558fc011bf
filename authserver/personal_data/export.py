"""A copy of what this server holds of a person, for that person (GDPR art. 15(3) and 20(1))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from .. import clock
from ..audit import Audit, Entry, Event, PersonKeys
from ..audit.search import of_person
from ..db import Database
from ..login import Mfa, SessionView, fresh_for
from ..users import TrustedPayees
from .tables import TABLES, table

# of the newest events so many are told; the copy says whether there are more
MOST_EVENTS = 10_000
BATCH = 1000
NEWEST = 2**62
EVENTS = frozenset(event.value for event in Event)
LOG, PAYEES = "audit_event", "trusted_payee"


@dataclass(frozen=True)
class Rooms:
    """What the copy is made of besides the tables."""

    audit: Audit
    people: PersonKeys
    mfa: Mfa
    payees: TrustedPayees


class Export:
    """Makes the copy."""

    def __init__(self, database: Database, rooms: Rooms, issuer: str) -> None:
        self._database = database
        self._audit = rooms.audit
        self._people = rooms.people
        self._mfa = rooms.mfa
        self._payees = rooms.payees
        self._issuer = issuer

    def made(self, session: SessionView) -> dict[str, Any] | None:
        """Everything that names the person, by table; no secret and no digest. None if not fresh.

        That it was made, or refused, is on record.
        """
        user_id = session.user_id
        if not fresh_for("export", session, self._mfa, self._audit):
            return None
        self._audit.record(Entry(Event.USER_DATA_EXPORTED, user_id=user_id))
        with self._database.reading() as connection:
            told = {
                name: self._rows(connection, name, user_id)
                for name, held in TABLES.items()
                if held.told and name not in {LOG, PAYEES}
            }
            # with what is sealed in it
            told[PAYEES] = self._payees.copy_in(connection, user_id, TABLES[PAYEES].told)
            events = self._events(connection, user_id)
        told[LOG] = events[:MOST_EVENTS]
        left_out = {name: held.why for name, held in TABLES.items() if held.untold}
        return {
            "issuer": self._issuer,
            "made_at": clock.now(),
            "complete": len(events) <= MOST_EVENTS,
            "data": told,
            "left_out": left_out,
        }

    @staticmethod
    def _rows(connection: Connection, name: str, user_id: str) -> list[dict[str, Any]]:
        source = table(name)
        columns = [source.c[column] for column in TABLES[name].told]
        query = select(*columns).where(source.c.user_id == user_id).order_by(*source.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]

    def _events(self, connection: Connection, user_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before = NEWEST
        while len(found) <= MOST_EVENTS:
            rows = of_person(self._people, connection, user_id, EVENTS, before, BATCH)
            found += [{name: row[name] for name in TABLES[LOG].told} | _device(row["detail"]) for row in rows]
            if len(rows) < BATCH:
                break
            before = rows[-1]["id"]
        return found


def _device(detail: dict[str, Any]) -> dict[str, Any]:
    return {"user_agent": detail["user_agent"]} if "user_agent" in detail else {}
