"""Who a person is to a client (OpenID Connect Core §8): the same to all, or another in each sector.

A pairwise subject is an HMAC over sector and person, under a key that was made once for this alone and rests
sealed in the database: it outlives changes of the master key, and tells nothing to whoever lacks that key.
"""

from __future__ import annotations

import threading

from sqlalchemy import select, update

from .. import clock, crypto
from ..clients import ClientRecord, Clients
from ..db import Database, insert_once, table_of
from ..models.subject import SubjectKey

PLACE = "subject_key.sealed/1"
table = table_of(SubjectKey)


class Subjects:
    """Knows people by the names that clients know them by. Ask it while no transaction is open."""

    def __init__(self, database: Database, clients: Clients, master: crypto.MasterKeys) -> None:
        self._database = database
        self._clients = clients
        self._master = master
        self._lock = threading.Lock()
        self._key: bytes | None = None

    def subject_of(self, client: ClientRecord, user_id: str) -> str:
        """The ``sub`` by which ``client`` knows the person, in all that it is told and all that it holds."""
        if not client.pairwise:
            return user_id
        return self._told("sub", client, user_id)

    def known_as(self, client_id: str, user_id: str) -> str:
        """``subject_of`` for the client of an id; a client that is gone knows nobody."""
        client = self._clients.get(client_id)
        return "" if client is None else self.subject_of(client, user_id)

    def session_of(self, client: ClientRecord, sid: str) -> str:
        """The ``sid`` by which ``client`` knows a session: one that all were told would tell people too."""
        if not client.pairwise:
            return sid
        return self._told("sid", client, sid)

    def _told(self, kind: str, client: ClientRecord, value: str) -> str:
        key = self._key or self._load()
        return crypto.b64u(crypto.mac(key, kind.encode(), client.sector.encode(), value.encode()))

    def _load(self) -> bytes:
        """The key, made when nobody needed it before; read once a process, for it never changes."""
        with self._lock:
            if self._key is None:
                self._key = self._read() or self._make()
            return self._key

    def _sealed(self) -> str | None:
        with self._database.reading() as connection:
            return connection.execute(select(table.c.sealed)).scalar()

    def _read(self) -> bytes | None:
        sealed = self._sealed()
        return None if sealed is None else self._master.open(sealed, PLACE)

    def _make(self) -> bytes:
        row = {
            "id": 1,
            "sealed": self._master.seal(crypto.random_bytes(crypto.KEY_BYTES), PLACE),
            "created_at": clock.now(),
        }
        with self._database.writing() as connection:
            insert_once(connection, SubjectKey, row)
        made = self._read()
        assert made is not None, "the first of all who made one has left it there"
        return made

    def sealed_by_another(self) -> bool:
        """Whether the key still rests under another master key than the first."""
        sealed = self._sealed()
        return sealed is not None and not sealed.startswith(f"{self._master.active}.")

    def reseal(self) -> None:
        """The key rests under the first master key, so that the others may go."""
        sealed = self._sealed()
        if sealed is None:
            return
        again = self._master.seal(self._master.open(sealed, PLACE), PLACE)
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.sealed == sealed).values(sealed=again))
