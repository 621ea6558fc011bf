"""Counters of one process for the limits library: sliding windows in memory.

Its own memory storage starts a thread a hundred times a second to forget what has expired, and may lose
or refuse a hit in a race. This one forgets while it counts, under one lock.
"""

from __future__ import annotations

import threading
from math import floor
from typing import NamedTuple

from limits.storage import MemoryStorage

from . import clock

SWEEP_SECONDS = 10.0


class _Window(NamedTuple):
    number: int
    previous: int
    current: int
    ends: float  # when neither count matters any more


class ProcessCounters(MemoryStorage):
    """The storage behind ``process://``. Fixed and moving windows are its base's."""

    STORAGE_SCHEME = ["process"]  # noqa: RUF012 - the registry of limits reads a list

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()
        self._sweep_at = float("-inf")

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether ``amount`` more fit into ``limit``; they are counted if so."""
        now = clock.monotonic()
        with self._lock:
            if now >= self._sweep_at:
                self._sweep(now)
            window, weight = self._window(key, expiry, now)
            if floor(window.previous * weight + window.current) + amount > limit:
                return False
            ends = (window.number + 2) * expiry
            self._windows[key] = _Window(window.number, window.previous, window.current + amount, ends)
            return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The counts of the previous and the current window, each with the seconds that it still matters."""
        window, weight = self._window(key, expiry, clock.monotonic())
        left = weight * expiry
        return window.previous, left if window.previous else 0.0, window.current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Nothing is counted for ``key``."""
        self._windows.pop(key, None)

    def _window(self, key: str, expiry: int, now: float) -> tuple[_Window, float]:
        """The window of ``now``, and how much of the previous one's count still weighs."""
        number, into = divmod(now, expiry)
        held = self._windows.get(key)
        if held is None or held.number < number - 1:
            held = _Window(int(number), 0, 0, 0.0)
        elif held.number < number:
            held = _Window(int(number), held.current, 0, 0.0)
        return held, 1 - into / expiry

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + SWEEP_SECONDS
        for key in [key for key, window in self._windows.items() if window.ends <= now]:
            del self._windows[key]
