"""Background jobs: a thread in every process, and one process of the fleet at a time for each job.

A job runs under a lease row: whoever holds it runs, whoever finds it expired takes over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from . import clock, leases, metrics
from .errors import Unavailable
from .purge import purge
from .services import Services

log = logging.getLogger(__name__)

TICK = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """Work that runs every ``every`` seconds somewhere in the fleet, when it is ``needed``."""

    name: str
    every: float
    work: Callable[[], object]
    needed: Callable[[], bool] = lambda: True


class Jobs:
    """The jobs of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self.jobs = (
            Job("audit_seal", 0.5, services.sealer.seal, services.sealer.pending),
            Job("key_rotation", 60, services.rotation.advance),
            Job("purge", 300, lambda: purge(services.database)),
            Job("registrations", 3600, services.registrations.expire),
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
        if self._thread is None:
            return
        self._thread.join(timeout=5)
        try:
            leases.give_back(self._database, leases.holder())
        except Unavailable:
            log.warning("leases were not given back; they end by themselves")

    def run_due(self) -> None:
        """Every job that is due, and whose lease this process has, ran once."""
        self._services.audit.flush_late()
        for job in self.jobs:
            if clock.monotonic() < self._due.get(job.name, float("-inf")):
                continue
            self._due[job.name] = clock.monotonic() + job.every
            if job.needed() and leases.take(self._database, job.name, leases.holder()):
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
        metrics.job_last_run.labels(job.name).set(clock.now())
        leases.finished(self._database, job.name, error)

    def _loop(self, stop: threading.Event) -> None:
        while not stop.wait(TICK):
            try:
                self.run_due()
            except Unavailable as error:
                log.warning("jobs wait: %s", error)
            except Exception:
                log.exception("jobs failed")
