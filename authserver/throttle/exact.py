"""Exact counts, one question to Redis for each: attempts at secrets, and what else people do.

A count begins with its first and ends as a whole. A process keeps its own count beside the shared one, so
that it has something to be stricter by while Redis is lost, and puts back what Redis has forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import clock
from ..counters import Table
from .limit import Limit
from .shared import Lost, Shared


@dataclass(slots=True)
class _Window:
    """``count`` of this process until ``ends``; Redis of this ``generation`` has ``known`` of it.

    ``flying`` are those whose own request is about to tell Redis; ``passed`` are those that were within it.
    """

    limit: Limit
    name: str
    ends: float
    count: int = 0
    passed: int = 0
    known: int = 0
    flying: int = 0
    generation: int = 0


class Exact:
    """Counts that are judged after they are made: never one too many."""

    def __init__(self, shared: Shared | None, share: int) -> None:
        self._shared = shared
        self._share = share
        self._table: Table[_Window] = Table()

    def add(self, limit: Limit, amount: int, *parts: str) -> bool:
        """Whether the count, with ``amount`` more, is within ``limit``; a negative one is given back."""
        now = clock.monotonic()
        with self._table.lock:
            place = self._table.place(limit.key(*parts), now)
            window = self._table.get(place)
            if window is None or window.ends <= now:
                name = limit.item().key_for("exact", *place[2:])
                window = _Window(limit, name, now + limit.seconds)
                self._table.put(place, window)
            # nothing is given back that was not taken
            amount = max(amount, -window.count)
            window.count += amount
            window.flying += amount
            own = window.count
        if self._shared is None:
            return own <= limit.amount
        try:
            within = self._tell(self._shared, window, amount) <= limit.amount
            most = limit.strict(self._share) if self._shared.wary else limit.amount
        except Lost:
            most = limit.strict(self._share)
            within = own <= most
        with self._table.lock:
            # whatever Redis says, one process alone lets no more pass than the limit
            if not within or window.passed + amount > most:
                return False
            window.passed = max(0, window.passed + amount)
            return True

    def count(self, limit: Limit, *parts: str) -> int:
        """How many count now: of all processes, or without Redis of this one."""
        now = clock.monotonic()
        with self._table.lock:
            window = self._table.get(self._table.place(limit.key(*parts), now))
            if window is None or window.ends <= now:
                return 0
            own = window.count
        try:
            return own if self._shared is None else max(own, self._tell(self._shared, window, 0))
        except Lost:
            return own

    def restore(self) -> None:
        """Redis has all that this process has counted; Lost if it cannot be asked now."""
        if self._shared is None:
            return
        now, generation = clock.monotonic(), self._shared.generation
        with self._table.lock:
            live = [window for _, window in self._table.items() if window.count and window.ends > now]
        for window in live:
            if window.generation != generation or window.count - window.flying != window.known:
                self._tell(self._shared, window, 0)

    def _tell(self, shared: Shared, window: _Window, amount: int) -> int:
        """The shared count, with ``amount`` and all in it that this process had counted before."""
        landed = False

        def add(storage: Any) -> int:
            nonlocal landed
            landed = True
            return self._add(storage, shared.generation, window, amount)

        try:
            return shared.ask(add)
        except Lost:
            if not landed:
                with self._table.lock:
                    window.flying -= amount
            raise

    def _add(self, storage: Any, generation: int, window: _Window, amount: int) -> int:
        with self._table.lock:
            if window.generation != generation:
                window.generation, window.known = generation, 0
            owed = window.count - window.flying - window.known + amount
            window.known += owed
            window.flying -= amount
        try:
            told = int(storage.incr(window.name, window.limit.seconds, owed))
            if told < 0:
                # what is given back after its window ended makes no room in the next
                told = int(storage.incr(window.name, window.limit.seconds, -told))
        except Exception:
            with self._table.lock:
                window.known -= owed
            raise
        return told
