"""Leased quotas: a process draws a slice of a shared quota and counts it off in memory.

A slice is one request at first and doubles while it is used up, to a two-hundredth of what is left of the
quota at most: it is 1 where a quota is small or nearly gone. What is drawn is counted in Redis at once; what
is not used of a slice ends with the window it was drawn in. So of ``workers`` processes together at most

    limit + workers * limit / 200

requests pass in a window, and a client that asks all of them is refused when at most so many are left over.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

from .. import clock
from ..counters import SlidingWindows
from .limit import Limit, Quota
from .shared import Lost, Shared

# A slice is at most this part of what is left.
SLICES = 200
# What a process holds; the one that was asked for longest ago makes room, and its slice is lost.
MOST_HELD = 10_000
# How old what is told of the others' use may be.
TOLD_SECONDS = 1.0


@dataclass(slots=True)
class _Held:
    """What a process holds of one quota: ``used`` of ``drawn`` in the window that ``ends``.

    ``drawn`` is what Redis of this ``generation`` has counted for this process. It is less than ``used``
    after requests were let pass without Redis, or when Redis has forgotten: the difference is owed.
    """

    limit: Limit
    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    generation: int = 0
    drawn: int = 0
    used: int = 0
    size: int = 1
    ends: float = 0.0
    # what Redis said, when, and when more comes free
    free: int = 0
    told_at: float = float("-inf")
    frees_at: float = 0.0
    refused_until: float = float("-inf")

    def renew(self, now: float) -> None:
        """Nothing is drawn or used yet if the window is over."""
        if now >= self.ends:
            self.drawn = self.used = 0
            self.size, self.ends = 1, now + self.limit.seconds

    def draw(self, storage: Any, generation: int, size: int) -> None:
        """``size`` more are drawn, or fewer, or none, with what is owed; how the window stands is known."""
        if self.generation != generation:
            self.generation, self.drawn = generation, 0
        now, seconds = clock.monotonic(), self.limit.seconds
        previous, previous_left, current, current_left = storage.get_sliding_window(self.name, seconds)
        # a window lives on for as long again as the previous one
        left = current_left - seconds if current_left > seconds else seconds
        used = floor(previous * previous_left / seconds + current)
        free = min(self.limit.amount, self.limit.amount - used)
        owed = max(0, self.used - self.drawn)
        cost = min(owed + min(size, max(1, free // SLICES)), free)
        if cost > 0 and storage.acquire_sliding_window_entry(self.name, self.limit.amount, seconds, cost):
            self.drawn += cost
            free -= cost
        self.free, self.ends, self.told_at = max(0, free), now + left, now
        self.frees_at = now + (min(left, previous_left % (seconds / previous)) if previous else left)


class Leased:
    """Quotas of everybody whom requests count for. Without ``shared`` this process counts exactly, alone."""

    def __init__(self, shared: Shared | None, share: int) -> None:
        self._shared = shared
        self._share = share
        self._own = SlidingWindows()
        self._held: OrderedDict[tuple[Any, ...], _Held] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, limit: Limit, *parts: str) -> bool:
        """Whether one more is within ``limit``; it counts if so."""
        if self._shared is None:
            return self._own.take(limit.key(*parts), limit.amount)
        held = self._of(limit, parts)
        with held.lock:
            return self._take(self._shared, held, parts)

    def quota(self, limit: Limit, *parts: str) -> tuple[bool, Quota]:
        """``take``, and what is left: exact but for what other processes used in the last second."""
        if self._shared is None:
            return self.take(limit, *parts), self._own_quota(limit, parts, limit.amount)
        held = self._of(limit, parts)
        with held.lock:
            allowed = self._take(self._shared, held, parts)
            if self._shared.lost or self._shared.wary:
                return allowed, self._own_quota(limit, parts, limit.strict(self._share))
            now = clock.monotonic()
            if allowed and now - held.told_at >= TOLD_SECONDS:
                self._draw(self._shared, held, 0)
            left = held.free + max(0, held.drawn - held.used) if allowed else 0
            return allowed, Quota(limit, left, max(1, ceil(held.frees_at - now)))

    def restore(self) -> None:
        """Redis has all that this process has let pass, as far as it is within a limit; Lost otherwise."""
        if self._shared is None:
            return
        with self._lock:
            everything = list(self._held.values())
        for held in everything:
            with held.lock:
                owes = held.used > held.drawn or held.generation != self._shared.generation
                live = held.used and clock.monotonic() < held.ends
                if owes and live and not self._draw(self._shared, held, 0):
                    raise Lost

    def _take(self, shared: Shared, held: _Held, parts: tuple[str, ...]) -> bool:
        now = clock.monotonic()
        held.renew(now)
        # whatever Redis says, one process alone lets no more pass than the limit
        most = min(held.drawn, held.limit.amount)
        if held.used < most and held.generation == shared.generation:
            held.used += 1
            return True
        if now < held.refused_until and not (shared.lost or shared.wary):
            return False
        if shared.wary or not self._draw(shared, held, held.size):
            # what passes now is owed to Redis once it is back
            allowed = self._own.take(held.limit.key(*parts), held.limit.strict(self._share))
            held.used += allowed
            return allowed
        if held.used >= min(held.drawn, held.limit.amount):
            held.refused_until = now + min(TOLD_SECONDS, held.limit.seconds / held.limit.amount)
            return False
        held.size = min(2 * held.size, held.limit.amount)
        held.used += 1
        return True

    @staticmethod
    def _draw(shared: Shared, held: _Held, size: int) -> bool:
        try:
            shared.ask(lambda storage: held.draw(storage, shared.generation, size))
        except Lost:
            return False
        return True

    def _own_quota(self, limit: Limit, parts: tuple[str, ...], amount: int) -> Quota:
        key = limit.key(*parts)
        return Quota(limit, max(0, amount - self._own.count(key)), max(1, ceil(self._own.reset(key))))

    def _of(self, limit: Limit, parts: tuple[str, ...]) -> _Held:
        key = limit.key(*parts)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                if len(self._held) >= MOST_HELD:
                    self._held.popitem(last=False)
                held = self._held[key] = _Held(limit, limit.item().key_for(*parts))
            else:
                self._held.move_to_end(key)
            return held
