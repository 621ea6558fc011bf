"""Background jobs: a thread in every process, and one process of the fleet at a time for each job.

A job runs under a lease row: whoever holds it runs, whoever finds it expired takes over.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from . import clock, metrics
from .db import Database, table_of
from .errors import Unavailable
from .models.lease import Lease
from .purge import purge
from .services import Services

log = logging.getLogger(__name__)

TICK = 0.5
LEASE_MS = 10_000
table = table_of(Lease)


@dataclass(frozen=True, slots=True)
class Job:
    """Work that runs every ``every`` seconds somewhere in the fleet, when it is ``needed``."""

    name: str
    every: float
    work: Callable[[], object]
    needed: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job fares: who holds it, when it last ran (Unix seconds), and its last error's type."""

    job: str
    holder: str
    last_run: int | None
    last_error: str | None


class Jobs:
    """The jobs of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self.jobs = (
            Job("audit_seal", 0.5, services.sealer.seal, services.sealer.pending),
            Job("key_rotation", 60, services.rotation.advance),
            Job("purge", 300, lambda: purge(services.database)),
        )
        self._due: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """The thread runs."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, args=(self._stop,), name="jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The thread has ended and its leases are free."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def run_due(self) -> None:
        """Every job that is due, and whose lease this process has, ran once."""
        self._services.audit.flush_late()
        for job in self.jobs:
            if clock.monotonic() < self._due.get(job.name, float("-inf")):
                continue
            self._due[job.name] = clock.monotonic() + job.every
            if job.needed() and take(self._database, job.name, holder()):
                self._run(job)

    def _run(self, job: Job) -> None:
        error = None
        try:
            job.work()
        except Unavailable:
            raise
        except Exception as problem:
            error = type(problem).__name__
            log.exception("job %s failed", job.name)
        now = clock.now()
        metrics.job_last_run.labels(job.name).set(now)
        with self._database.writing() as connection:
            connection.execute(
                update(table).where(table.c.job == job.name).values(last_run=now, last_error=error)
            )

    def _loop(self, stop: threading.Event) -> None:
        while not stop.wait(TICK):
            try:
                self.run_due()
            except Unavailable as error:
                log.warning("jobs wait: %s", error)
            except Exception:
                log.exception("jobs failed")


def holder() -> str:
    """This process, as lease rows name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def take(database: Database, job: str, who: str, lease_ms: int = LEASE_MS) -> bool:
    """Whether ``who`` holds the lease on ``job`` from now for ``lease_ms``, anew or still."""
    now = clock.now_ms()
    with database.writing() as connection:
        insert = sqlite_insert if database.sqlite else postgresql_insert
        free = insert(Lease).values(job=job, holder="", until_ms=0).on_conflict_do_nothing()
        taken = (
            update(table)
            .where(table.c.job == job, (table.c.until_ms < now) | (table.c.holder == who))
            .values(holder=who, until_ms=now + lease_ms)
        )
        if connection.execute(taken).rowcount == 1:
            return True
        if connection.execute(select(table.c.job).where(table.c.job == job)).first():
            return False
        connection.execute(free)
        return connection.execute(taken).rowcount == 1


def states(database: Database) -> list[JobState]:
    """How every job fares."""
    with database.reading() as connection:
        rows = connection.execute(select(table).order_by(table.c.job)).mappings().all()
    return [JobState(row["job"], row["holder"], row["last_run"], row["last_error"]) for row in rows]
