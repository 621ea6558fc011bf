"""Counters of one process: windows in memory, that forget while they count and never grow without end.

The limits library's own memory storage starts a thread a hundred times a second to forget what has expired,
and may lose or refuse a hit in a race. These forget under one lock, and their time never goes back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import floor
from typing import Any, Generic, Protocol, TypeVar

from . import clock

SWEEP_SECONDS = 10.0
# Past so many keys newcomers share CROWDS counters: an attacker with a million addresses costs a bounded
# amount of memory, and no limit opens.
MOST_KEYS = 50_000
CROWDS = 256

# What is counted, beginning with the amount and the seconds of its limit.
Key = tuple[Any, ...]


class Ending(Protocol):
    """Something that matters until a moment of the monotonic clock."""

    ends: float


W = TypeVar("W", bound=Ending)


class Table(Generic[W]):
    """Windows by key, at most ``MOST_KEYS`` and one for each crowd of a limit. Its user holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._windows: dict[Key, W] = {}
        self._sweep_at = float("-inf")

    def __len__(self) -> int:
        return len(self._windows)

    def place(self, key: Key, now: float) -> Key:
        """Where ``key`` is counted: at its own place, or among the crowd when there is no more room."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        if key in self._windows or len(self._windows) < MOST_KEYS:
            return key
        return (*key[:2], "crowd", hash(key) % CROWDS)

    def get(self, key: Key) -> W | None:
        """The window at ``key``, over or not."""
        return self._windows.get(key)

    def items(self) -> list[tuple[Key, W]]:
        """Every key and its window, over or not."""
        return list(self._windows.items())

    def put(self, key: Key, window: W) -> None:
        """``window`` is the one at ``key``."""
        self._windows[key] = window


@dataclass(slots=True)
class _Sliding:
    number: int
    previous: int
    current: int
    ends: float  # when neither count matters any more


class SlidingWindows:
    """Sliding window counters: the current window counts whole, the previous one by what is left of it."""

    def __init__(self) -> None:
        self._table: Table[_Sliding] = Table()

    def __len__(self) -> int:
        return len(self._table)

    def take(self, key: Key, amount: int) -> bool:
        """Whether one more fits into ``amount``; it is counted if so."""
        with self._table.lock:
            place, window, counted = self._window(key)
            if counted + 1 > amount:
                return False
            window.current += 1
            self._table.put(place, window)
            return True

    def count(self, key: Key) -> int:
        """How many count now."""
        with self._table.lock:
            return self._window(key)[2]

    def reset(self, key: Key) -> float:
        """Seconds until one of those that count no longer does."""
        seconds = key[1]
        with self._table.lock:
            _, window, _ = self._window(key)
            left: float = seconds - clock.monotonic() % seconds
            return min(left, left % (seconds / window.previous)) if window.previous else left

    def _window(self, key: Key) -> tuple[Key, _Sliding, int]:
        """Where ``key`` is counted, its window now, and what counts in it."""
        now, seconds = clock.monotonic(), key[1]
        place = self._table.place(key, now)
        number, into = divmod(now, seconds)
        held = self._table.get(place)
        if held is None or held.number != number:
            previous = held.current if held is not None and held.number == number - 1 else 0
            held = _Sliding(int(number), previous, 0, (number + 2) * seconds)
        return place, held, floor(held.previous * (1 - into / seconds) + held.current)
