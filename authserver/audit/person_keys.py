"""A key for each person, under which audit rows hold what is personal; destroying it erases that for good.

Writing may use a key that this process read a while ago. Reading always asks the database, so that what is
erased is erased on every worker at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Select, select, update

from .. import clock, crypto
from ..db import Database, insert_once, table_of
from ..models.person import PersonKey
from ..models.user import User

table = table_of(PersonKey)
users = table_of(User)

# for so long a process writes under a key without looking whether it still exists
KEPT_SECONDS = 300.0
CAPACITY = 10_000
BATCH = 500


class PersonKeys:
    """Makes, finds and destroys them."""

    def __init__(self, database: Database, master: crypto.MasterKeys) -> None:
        self._database = database
        self._master = master
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bytes | None]] = {}
        # made by transactions that may yet fail: these count in them alone
        self._made: WeakKeyDictionary[Connection, dict[str, bytes]] = WeakKeyDictionary()

    def of(self, user_id: str, *, looked_up: bool = False) -> bytes | None:
        """The person's key, made if there was none; None once it is destroyed.

        ``looked_up``: by one read, whether it is known or not, whether there is such a person or not.
        """
        if not looked_up and (known := self._remembered(user_id)) is not None:
            return known[0]
        with self._database.reading() as connection:
            found = self._read(connection, user_id)
        if found is None and user_id:
            with self._database.writing() as connection:
                self._make(connection, user_id)
            with self._database.reading() as connection:
                found = self._read(connection, user_id)
        if found is None:
            return None
        return found[0] if looked_up else self._remember(user_id, found[0])

    def of_in(self, connection: Connection, user_id: str) -> bytes | None:
        """``of`` with the transaction of ``connection``."""
        if (known := self._remembered(user_id)) is not None:
            return known[0]
        if (made := self._made.get(connection, {}).get(user_id)) is not None:
            return made
        found = self._read(connection, user_id)
        if found is not None:
            return self._remember(user_id, found[0])
        if (key := self._make(connection, user_id)) is not None:
            self._made.setdefault(connection, {})[user_id] = key
            return key
        found = self._read(connection, user_id)
        return None if found is None else found[0]

    def existing(self, connection: Connection, user_ids: Iterable[str]) -> dict[str, bytes]:
        """The keys of those of these people who have one, as the database has them now."""
        wanted = sorted(set(user_ids))
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), BATCH):
            part = table.c.user_id.in_(wanted[start : start + BATCH])
            for row in connection.execute(select(table).where(part, table.c.sealed.is_not(None))):
                found[row.user_id] = self._master.open(row.sealed, _place(row.user_id))
        return found

    def destroy_in(self, connection: Connection, user_id: str) -> None:
        """Nothing under the person's key can be read any more once this transaction is committed."""
        gone = {"sealed": None, "destroyed_at": clock.now()}
        insert_once(connection, PersonKey, {"user_id": user_id, "created_at": clock.now()} | gone)
        connection.execute(update(table).where(table.c.user_id == user_id).values(gone))
        with self._lock:
            self._known.pop(user_id, None)

    def untended(self) -> bool:
        """Whether somebody has no key yet, or one under a master key that is not the active one."""
        with self._database.reading() as connection:
            missing = connection.execute(_MISSING.limit(1)).first()
            return missing is not None or connection.execute(self._outdated().limit(1)).first() is not None

    def tend(self) -> int:
        """Up to ``BATCH`` of those are as they should be; gives how many.

        Whoever gets a key before they first sign in costs no more there than anybody else.
        """
        with self._database.writing() as connection:
            missing = connection.execute(_MISSING.limit(BATCH)).scalars().all()
            for user_id in missing:
                self._make(connection, user_id)
            outdated = connection.execute(self._outdated().limit(BATCH)).all()
            for row in outdated:
                key = self._master.open(row.sealed, _place(row.user_id))
                same = (table.c.user_id == row.user_id) & (table.c.sealed == row.sealed)
                sealed = self._master.seal(key, _place(row.user_id))
                connection.execute(update(table).where(same).values(sealed=sealed))
        return len(missing) + len(outdated)

    def _outdated(self) -> Select[Any]:
        ours = table.c.sealed.startswith(f"{self._master.active}.", autoescape=True)
        return select(table.c.user_id, table.c.sealed).where(table.c.sealed.is_not(None), ~ours)

    def _read(self, connection: Connection, user_id: str) -> tuple[bytes | None] | None:
        query = select(table.c.sealed).where(table.c.user_id == user_id)
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return (None if row.sealed is None else self._master.open(row.sealed, _place(user_id)),)

    def _make(self, connection: Connection, user_id: str) -> bytes | None:
        """A new key; None if somebody else made one meanwhile."""
        key = crypto.random_bytes(crypto.KEY_BYTES)
        values = {
            "user_id": user_id,
            "sealed": self._master.seal(key, _place(user_id)),
            "created_at": clock.now(),
        }
        return key if insert_once(connection, PersonKey, values) else None

    def _remembered(self, user_id: str) -> tuple[bytes | None] | None:
        known = self._known.get(user_id)
        if known is None or known[0] + KEPT_SECONDS < clock.monotonic():
            return None
        return (known[1],)

    def _remember(self, user_id: str, key: bytes | None) -> bytes | None:
        with self._lock:
            self._known.pop(user_id, None)
            if len(self._known) >= CAPACITY:
                del self._known[next(iter(self._known))]
            self._known[user_id] = (clock.monotonic(), key)
        return key


_MISSING = (
    select(users.c.user_id)
    .outerjoin(table, table.c.user_id == users.c.user_id)
    .where(table.c.user_id.is_(None))
)


def _place(user_id: str) -> str:
    return f"person_key/sealed/{user_id}"
