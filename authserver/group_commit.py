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
    __slots__ = ("done", "error", "insert", "rows", "turn", "value", "work")

    def __init__(
        self, work: Work | None = None, insert: Insert | None = None, rows: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.work = work
        self.insert = insert
        self.rows = rows
        self.done = False
        # held until the job is done or its owner is to write
        self.turn = threading.Lock()
        self.turn.acquire()
        self.value: Any = None
        self.error: BaseException | None = None


class GroupCommit:
    """Runs small pieces of write work in shared transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._queue: list[_Job] = []
        # somebody writes, or has been told that it is his turn
        self._writing = False

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
        with self._lock:
            self._queue.append(job)
            waits, self._writing = self._writing, True
        if waits:
            job.turn.acquire()
        if not job.done:
            self._lead()
        if job.error is not None:
            raise job.error
        return job.value

    def _lead(self) -> None:
        """Everything queued is written; then it is the turn of whoever queued up first meanwhile."""
        with self._lock:
            batch, self._queue = self._queue, []
        try:
            self._write(batch)
        finally:
            for job in batch:
                if not job.done:
                    # torn away in the middle
                    job.error, job.done = Unavailable("database_write"), True
                job.turn.release()
            with self._lock:
                self._writing = bool(self._queue)
                if self._queue:
                    self._queue[0].turn.release()

    def _write(self, batch: list[_Job]) -> None:
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
        if len(rows) == 1 and all(job.work is None for job in batch):
            self._database.insert(*next(iter(rows.items())))
        else:
            with self._database.writing() as connection:
                for job in batch:
                    job.value = None if job.work is None else job.work(connection)
                for insert, added in rows.items():
                    insert.execute(connection, added)
        for job in batch:
            job.done = True


def _lost(error: Exception) -> bool:
    return bool(getattr(error.__cause__, "connection_invalidated", False))
