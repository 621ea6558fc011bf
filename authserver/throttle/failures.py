"""Failures: each is counted where all processes see it; whether there are too many is looked up now and then.

Asked before a request is read, so it costs no question to Redis for what it knows: that there is room, for
half a second, and that there is none, until one of those that count no longer does. A process that learns of
another's failures that late has judged one request more for each of its threads, at most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from .. import clock
from ..counters import Key, SlidingWindows
from .limit import Limit
from .shared import Lost, Shared

LOOK_SECONDS = 0.5
MOST_LOOKED = 10_000


class Failures:
    """Counts of what went wrong, for those whom requests count for."""

    def __init__(self, shared: Shared | None, share: int) -> None:
        self._shared = shared
        self._share = share
        # beside the shared count: it is there when Redis is lost
        self._own = SlidingWindows()
        # until when it is known whether there is room
        self._looked: OrderedDict[Key, tuple[float, bool]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, limit: Limit, *parts: str) -> bool:
        """One more is counted if it is within ``limit``, and whether it was."""
        key = limit.key(*parts)
        if self._shared is None:
            return self._own.take(key, limit.amount)
        within = self._own.take(key, limit.amount)
        if self._known_full(key):
            return False
        name = limit.item().key_for(*parts)
        try:
            counted: bool = self._shared.ask(
                lambda storage: storage.acquire_sliding_window_entry(name, limit.amount, limit.seconds, 1)
            )
        except Lost:
            return self._own.count(key) <= limit.strict(self._share)
        if not (counted and within):
            self._know(key, limit, room=False)
        return counted and within

    def room(self, limit: Limit, *parts: str) -> bool:
        """Whether one more would be within ``limit``."""
        key = limit.key(*parts)
        own = self._own.count(key)
        if self._shared is None:
            return own < limit.amount
        looked = self._looked.get(key)
        if own < limit.amount and looked is not None and clock.monotonic() < looked[0]:
            return looked[1] and not (self._shared.lost and own >= limit.strict(self._share))
        name = limit.item().key_for(*parts)
        try:
            previous, left, current, _ = self._shared.ask(
                lambda storage: storage.get_sliding_window(name, limit.seconds)
            )
        except Lost:
            return own < limit.strict(self._share)
        room = own < limit.amount and previous * left / limit.seconds + current < limit.amount
        self._know(key, limit, room=room)
        return room

    def _known_full(self, key: Key) -> bool:
        looked = self._looked.get(key)
        return looked is not None and not looked[1] and clock.monotonic() < looked[0]

    def _know(self, key: Key, limit: Limit, *, room: bool) -> None:
        seconds = LOOK_SECONDS if room else min(LOOK_SECONDS, limit.seconds / limit.amount)
        with self._lock:
            self._looked[key] = (clock.monotonic() + seconds, room)
            self._looked.move_to_end(key)
            if len(self._looked) > MOST_LOOKED:
                self._looked.popitem(last=False)
