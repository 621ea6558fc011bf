"""A replay store in a SQLite file that all processes of one machine share."""

import os
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import monotonic, sleep, time

from ..errors import Unavailable
from . import MARGIN_SECONDS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replay (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replay_expires_at ON replay (expires_at);
"""
_CLAIM = "INSERT INTO replay (key, expires_at) VALUES (?, ?) ON CONFLICT (key) DO NOTHING"
_PURGE = "DELETE FROM replay WHERE key IN (SELECT key FROM replay WHERE expires_at < ? LIMIT ?)"
_BATCH = 500
_BUSY_SECONDS = 5.0
_CLAIMS_PER_PURGE = 200


class SqliteReplayStore:
    """A replay store in the file `path`; what it remembers survives a crash (WAL, synced at each claim)."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time) -> None:
        self._path, self._clock = path, clock
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._claims = 0

    def claim(self, key: str, expires_at: int) -> bool:
        """Tell whether this is the first claim of `key`; Unavailable if the file is stuck."""
        if expires_at <= self._clock():
            return False
        digest = sha256(key.encode()).digest()
        try:
            with self._lock:
                first = self._execute(_CLAIM, digest, expires_at + MARGIN_SECONDS) == 1
        except sqlite3.Error:
            raise Unavailable from None
        self._purge_sometimes()
        return first

    def purge(self) -> int:
        """Delete a batch of expired keys, return how many went; Unavailable if the file is stuck."""
        try:
            with self._lock:
                return self._execute(_PURGE, int(self._clock()), _BATCH)
        except sqlite3.Error:
            raise Unavailable from None

    def close(self) -> None:
        """Close the file; the next claim opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _purge_sometimes(self) -> None:
        self._claims += 1
        if self._claims % _CLAIMS_PER_PURGE == 0:
            try:
                self.purge()
            except Unavailable:
                return  # the claim stands; the next round deletes them

    def _execute(self, statement: str, *values: object) -> int:
        # SQLite's locks do not survive a fork: the child opens the file anew.
        if self._connection is None or self._pid != os.getpid():
            self._connection, self._pid = _open(self._path), os.getpid()
        return self._connection.execute(statement, values).rowcount


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # WAL works on one machine alone; several machines need the Redis form. The busy timeout does not
    # cover this one statement: processes that open a new file at once would fail.
    ends_at = monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() > ends_at:
                raise
            sleep(0.01)
