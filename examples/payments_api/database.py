"""One SQLite file for any number of threads and workers: reads, and writes that take the lock first."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

_BUSY_SECONDS = 5.0


class Database:
    """The file `path` with the tables of `schema`."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.connection() as db:
            _switch_to_wal(db)
            db.executescript(schema)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; every statement is a transaction of its own."""
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            yield db
        finally:
            db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody writes beside; what is done with it happens as a whole or not at all."""
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")  # an exception closes the connection instead, which rolls back


def _switch_to_wal(db: sqlite3.Connection) -> None:
    # The busy timeout does not cover this statement when several workers start at once.
    ends_at = monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if monotonic() > ends_at:
                raise
            sleep(0.01)
