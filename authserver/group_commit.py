"""Group commit: one write transaction serves all requests in flight.

Whoever comes first writes for everybody who queued up meanwhile; each caller returns after the commit
that holds its rows. So durability costs a transaction a batch, not a transaction a request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from .db import Base, Database, Insert
from .errors import Unavailable

Work = Callable[[Connection], Any]


class _Job:
    __slots__ = ("done", "error", "insert", "rows", "value", "work")

    def __init__(
        self, work: Work | None = None, insert: Insert | None = None, rows: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.work = work
        self.insert = insert
        self.rows = rows
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None


class GroupCommit:
    """Runs small pieces of write work in shared transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue_lock = threading.Lock()
        self._writer_lock = threading.Lock()
        self._queue: list[_Job] = []

    def insert_of(self, model: type[Base], columns: Sequence[str]) -> Insert:
        """An INSERT for ``add``."""
        return Insert(self._database.engine, model, columns)

    def run(self, work: Work) -> Any:
        """What ``work(connection)`` gave, once it is committed; its error, and Unavailable, are raised.

        ``work`` may run twice: when another piece in its batch fails, each is tried alone. Not when the
        connection was lost: the batch may have been committed unheard.
        """
        return self._finish(_Job(work))

    def add(self, insert: Insert, *rows: dict[str, Any]) -> None:
        """``rows`` are committed, all of a batch by one INSERT; errors are those of ``run``."""
        self._finish(_Job(insert=insert, rows=rows))

    def _finish(self, job: _Job) -> Any:
        with self._queue_lock:
            self._queue.append(job)
        with self._writer_lock:
            if not job.done:
                self._write()
        if job.error is not None:
            raise job.error
        if not job.done:
            # whoever took it along was torn away in the middle
            raise Unavailable("database_write")
        return job.value

    def _write(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        try:
            self._commit(batch)
        except Exception as error:
            if len(batch) == 1 or _lost(error):
                for job in batch:
                    job.error, job.done = error, True
                return
            for job in batch:
                try:
                    self._commit([job])
                except Exception as own:
                    job.error, job.done = own, True

    def _commit(self, batch: list[_Job]) -> None:
        rows: dict[Insert, list[dict[str, Any]]] = {}
        for job in batch:
            if job.insert is not None:
                rows.setdefault(job.insert, []).extend(job.rows)
        with self._database.writing() as connection:
            values = [None if job.work is None else job.work(connection) for job in batch]
            for insert, added in rows.items():
                insert.execute(connection, added)
        for job, value in zip(batch, values, strict=True):
            job.value, job.done = value, True


def _lost(error: Exception) -> bool:
    return bool(getattr(error.__cause__, "connection_invalidated", False))
