"""Counters that all processes share in Redis, behind a circuit: a lost Redis is asked once a second.

Whatever goes wrong there (refused, silent, full, read-only, a wrong password, an answer that makes no sense)
is one thing here: ``Lost``. Nobody but the one who asks again waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .. import clock, crypto, metrics

T = TypeVar("T")

TIMEOUTS: dict[str, Any] = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
# After a failure Redis is left alone for so long, by all but one request.
PAUSE = 1.0
# How often a process looks whether Redis still has what it counted there.
MARK_EVERY = 1.0
MARK_SECONDS = 3600
# For so long after Redis has forgotten others may not have put back yet what they had counted.
WARY_SECONDS = 3.0


class Lost(Exception):
    """The shared counters cannot be asked now."""


class Shared:
    """A storage of the limits library that may be lost and come back, with its memory or without.

    ``generation`` is another number after Redis has forgotten, by a restart or a flush, what this process
    counted there: whoever counts puts it back. A counter of this process's own is how it knows.
    """

    def __init__(self, storage: Any, told: Callable[[Exception | None], None]) -> None:
        self.storage = storage
        self.generation = 0
        self._told = told
        self._lock = threading.Lock()
        self._lost = False
        self._ask_at = float("-inf")
        self._mark_at = float("-inf")
        self._mark = ""
        self._mark_ends = float("-inf")
        self._wary_until = float("-inf")

    @property
    def lost(self) -> bool:
        """Whether each process counts for itself now."""
        return self._lost

    @property
    def wary(self) -> bool:
        """Whether what Redis says may be too little: each process is as strict as without it."""
        return clock.monotonic() < self._wary_until

    def ask(self, question: Callable[[Any], T]) -> T:
        """What ``question`` says, given the storage; Lost, at once while the circuit is open."""
        now = clock.monotonic()
        marking = False
        if now >= self._mark_at or self._lost:
            marking = self._turn(now)
        try:
            if marking:
                self._write_mark(now)
            answer = question(self.storage)
        except Exception as error:
            # not the library's own errors alone: an answer may be no number at all
            self._fail(error)
            raise Lost from error
        if marking and self._lost:
            self._lost = False
            metrics.dependency_recoveries.labels("redis").inc()
            self._told(None)
        return answer

    def _turn(self, now: float) -> bool:
        """Whether it is this request's turn to ask first; Lost if Redis is lost and it is another's."""
        with self._lock:
            if self._lost:
                if now < self._ask_at:
                    raise Lost
                self._ask_at = now + PAUSE
            elif now < self._mark_at:
                return False
            self._mark_at = now + MARK_EVERY
            return True

    def _write_mark(self, now: float) -> None:
        """One write, which succeeds only where counting does, and tells whether Redis remembers the last."""
        if self._mark and self._counted(self._mark) == 1 and now < self._mark_ends:
            self.generation += 1
            self._wary_until = now + WARY_SECONDS
        if now >= self._mark_ends - MARK_SECONDS / 2:
            self._mark = f"process/{crypto.random_token(96)}"
            self._mark_ends = now + MARK_SECONDS
            self._counted(self._mark)

    def _counted(self, mark: str) -> int:
        return int(self.storage.incr(mark, MARK_SECONDS))

    def _fail(self, error: Exception) -> None:
        self._ask_at = clock.monotonic() + PAUSE
        self._lost = True
        metrics.dependency_failures.labels("redis").inc()
        self._told(error)
