"""The time, in one place, so that tests can walk it and nothing else asks the system."""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.time


def now() -> int:
    """The current Unix time in whole seconds, as RFC 7519 §2 NumericDate counts."""
    return int(_source())


def now_ms() -> int:
    """The current Unix time in milliseconds."""
    return int(_source() * 1000)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def use(source: Callable[[], float]) -> Callable[[], float]:
    """Take the time from ``source`` (Unix seconds) from now on; gives the source used before."""
    global _source
    previous, _source = _source, source
    return previous
