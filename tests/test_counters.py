"""Windows of one process: edges, time that stands still or jumps, and bounded memory."""

from __future__ import annotations

import pytest

from authserver import clock, counters
from authserver.counters import SlidingWindows

KEY = (10, 60, "somebody")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, as one number that a test sets."""
    now = [6000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_the_previous_window_counts_by_what_is_left_of_it(at: list[float]) -> None:
    windows = SlidingWindows()
    at[0] = 6059.0
    assert [windows.take(KEY, 10) for _ in range(11)] == [True] * 10 + [False]
    # two windows' worth does not pass within two seconds
    at[0] = 6060.0
    assert not windows.take(KEY, 10)
    at[0] = 6066.0
    assert [windows.take(KEY, 10) for _ in range(2)] == [True, False]
    at[0] = 6090.0
    assert windows.count(KEY) == 6
    at[0] = 6180.0
    assert windows.count(KEY) == 0


def test_what_is_left_comes_free_when_it_is_said_to(at: list[float]) -> None:
    windows = SlidingWindows()
    for _ in range(10):
        windows.take(KEY, 10)
    assert windows.reset(KEY) == 60
    at[0] += 60
    assert not windows.take(KEY, 10)
    at[0] += windows.reset(KEY) + 0.001
    assert windows.take(KEY, 10)


def test_addresses_without_end_cost_bounded_memory_and_open_nothing(
    at: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MOST_KEYS", 100)
    monkeypatch.setattr(counters, "CROWDS", 4)
    windows = SlidingWindows()
    for _ in range(7):
        windows.take((10, 60, "known"), 10)
    passed = sum(windows.take((10, 60, f"2001:db8:0:{n:x}::/64"), 10) for n in range(5000))
    assert len(windows) <= 104
    assert passed <= 99 + 4 * 10
    assert windows.count((10, 60, "known")) == 7
    # and room is made as soon as it is over
    at[0] += 180
    assert windows.take((10, 60, "new"), 10)
    assert len(windows) == 1
