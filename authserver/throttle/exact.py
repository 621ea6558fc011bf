"""Exact counts, one question to Redis for each: attempts at secrets, and what else people do.

A count begins with its first and ends as a whole. A process keeps its own count beside the shared one, so
that it has something to be stricter by while Redis is lost, and puts back what Redis has forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import clock
from ..counters import Key, Table
from .limit import Limit
from .shared import Lost, Shared


@dataclass(slots=True)
class _Window:
    """``count`` of this process until ``ends``; Redis of this ``generation`` has ``known`` of it."""

    ends: float
    count: int = 0
    known: int = 0
    generation: int = 0


class Exact:
    """Counts that are judged after they are made: never one too many."""

    def __init__(self, shared: Shared | None, share: int) -> None:
        self._shared = shared
        self._share = share
        self._table: Table[_Window] = Table()

    def add(self, limit: Limit, amount: int, *parts: str) -> bool:
        """Whether the count, with ``amount`` more, is within ``limit``; a negative one is given back."""
        key, now = limit.key(*parts), clock.monotonic()
        with self._table.lock:
            place = self._table.place(key, now)
            window = self._table.get(place)
            if window is None or window.ends <= now:
                window = _Window(now + limit.seconds)
                self._table.put(place, window)
            window.count = max(0, window.count + amount)
            own = window.count
        if self._shared is None:
            return own <= limit.amount
        try:
            # whatever Redis says, one process alone lets no more pass than the limit
            return max(own, self._tell(self._shared, window, limit, key)) <= limit.amount
        except Lost:
            return own <= limit.strict(self._share)

    def _tell(self, shared: Shared, window: _Window, limit: Limit, key: Key) -> int:
        """The shared count, with all that this process has counted in it."""
        generation = shared.generation
        with self._table.lock:
            if window.generation != generation:
                window.generation, window.known = generation, 0
            owed, window.known = window.count - window.known, window.count
        name = limit.item().key_for("exact", *key[2:])
        try:
            return shared.ask(lambda storage: _incr(storage, name, limit.seconds, owed))
        except Lost:
            with self._table.lock:
                window.known -= owed
            raise

    def restore(self) -> None:
        """Redis has all that this process has counted; Lost if it cannot be asked now."""
        if self._shared is None:
            return
        now, shared = clock.monotonic(), self._shared
        with self._table.lock:
            live = [(key, window) for key, window in self._table.items() if window.ends > now]
        for key, window in live:
            if window.count and (window.generation != shared.generation or window.count != window.known):
                self._tell(shared, window, Limit(key[0], key[1]), key)


def _incr(storage: Any, name: str, seconds: int, amount: int) -> int:
    """The count, never below zero: what is given back after its window ended makes no room in the next."""
    told = int(storage.incr(name, seconds, amount))
    return told if told >= 0 else int(storage.incr(name, seconds, -told))
