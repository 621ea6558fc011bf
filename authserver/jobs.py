"""Background jobs: three threads in every process, and one process of the fleet at a time for each job.

A job runs under a lease row: whoever holds it runs, whoever finds it expired takes over. Jobs that call
other servers have threads of their own, clients' apart from mail's, so that nothing waits for those.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
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
    needed: Callable[[], object] = lambda: True


class Jobs:
    """The jobs of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self.jobs = (
            Job("audit_seal", 0.5, services.sealer.seal, services.sealer.pending),
            Job("key_rotation", 60, services.rotation.advance),
            Job("subject_key", 3600, services.subjects.reseal, services.subjects.sealed_by_another),
            Job("person_keys", 10, services.person_keys.tend, services.person_keys.untended),
            Job("erasure", 60, services.erasure.carry_out, services.erasure.due),
            Job("purge", 300, lambda: purge(services.database)),
            Job("unused_accounts", 3600, services.unused_accounts.disable, services.unused_accounts.found),
            Job("registrations", 3600, services.registrations.expire),
        )
        logout = services.backchannel_logout
        self.calls = (Job("backchannel_logout", 1, logout.deliver, logout.due),)
        requests, locks = services.reset_requests, services.lock_notices
        self.mails = (
            Job("password_resets", 0.5, requests.answer, requests.due),
            Job("lock_notices", 2, locks.tell, locks.pending),
            Job("mail", 0.5, services.mail.deliver, services.mail.due),
        )
        self._due: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """The threads run."""
        self._stop = threading.Event()
        work = {"jobs": self.run_due, "calls": self.run_calls, "mails": self.run_mails}
        self._threads = [
            threading.Thread(target=self._loop, args=(self._stop, round_), name=name, daemon=True)
            for name, round_ in work.items()
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """The threads have ended, but for a call under way, and their leases are free."""
        self._stop.set()
        if not self._threads:
            return
        for thread in self._threads:
            thread.join(timeout=5)
        try:
            self._services.risk.settle()
            leases.give_back(self._database, leases.holder())
        except Unavailable:
            log.warning("refusals were not written, or leases not given back; these end by themselves")

    def run_due(self) -> None:
        """Every job that is due, and whose lease this process has, ran once; none that calls others.

        What only this process can write, counts, late audit rows and refusals, is written first.
        """
        self._services.throttle.restore()
        self._services.audit.flush_late()
        self._services.risk.settle()
        self._run_due(self.jobs)

    def run_calls(self) -> None:
        """``run_due`` for the jobs that call others."""
        self._run_due(self.calls)

    def run_mails(self) -> None:
        """``run_due`` for messages to people."""
        self._run_due(self.mails)

    def _run_due(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
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
            metrics.job_failures.labels(job.name).inc()
            log.exception("job %s failed", job.name)
        metrics.job_last_run.labels(job.name).set(clock.now())
        leases.finished(self._database, job.name, error)

    def _loop(self, stop: threading.Event, round_: Callable[[], None]) -> None:
        while not stop.wait(TICK):
            try:
                round_()
            except Unavailable as error:
                log.warning("jobs wait: %s", error)
            except Exception:
                log.exception("jobs failed")
