"""Failures: counted over all workers, looked up seldom, and known by the one that made the last of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from throttle.conftest import SHARE, Ticking, Worker

from authserver.throttle import failures as failures_module
from authserver.throttle.failures import LOOK_SECONDS, Failures
from authserver.throttle.limit import Limit

Workers = Callable[..., list[Worker]]
LIMIT = Limit(30, 3600)


def guesses(one: Worker, times: int, name: str = "client") -> int:
    """How many of so many wrong guesses were judged."""
    judged = 0
    for _ in range(times):
        if one.failures.room(LIMIT, name):
            judged += 1
            one.failures.add(LIMIT, name)
    return judged


def test_guesses_spread_over_workers_are_one_more_for_each_worker_at_most(workers: Workers) -> None:
    fleet = workers(8)
    judged = sum(guesses(one, 1) for _ in range(100) for one in fleet)
    assert LIMIT.amount <= judged <= LIMIT.amount + len(fleet)


def test_what_another_worker_counted_is_known_half_a_second_later(workers: Workers, ticking: Ticking) -> None:
    one, other = workers(2)
    assert one.failures.room(LIMIT, "client")
    assert guesses(other, 100) == LIMIT.amount
    ticking.walk(LOOK_SECONDS)
    assert not one.failures.room(LIMIT, "client")
    assert one.failures.room(LIMIT, "another client")


def test_looking_costs_no_question_in_between(
    workers: Workers, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,), asked = workers(1), []
    original = one.shared.storage.get_sliding_window

    def noted(*arguments: Any) -> Any:
        asked.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(one.shared.storage, "get_sliding_window", noted)
    for _ in range(100):
        assert one.failures.room(LIMIT, "address")
    assert len(asked) == 1
    ticking.walk(LOOK_SECONDS)
    assert one.failures.room(LIMIT, "address")
    assert len(asked) == 2


def test_what_is_remembered_of_looks_is_bounded(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "MOST_LOOKED", 50)
    (one,) = workers(1)
    for number in range(200):
        assert one.failures.room(LIMIT, f"2001:db8:0:{number:x}::/64")
    assert len(one.failures._looked) == 50
    # who only looks counts nothing
    assert len(one.failures._own) == 0


def test_without_redis_a_process_counts_alone() -> None:
    alone = Failures(None, SHARE)
    assert [alone.add(LIMIT, "x") for _ in range(35)] == [True] * 30 + [False] * 5
    assert not alone.room(LIMIT, "x")
    assert alone.room(LIMIT, "y")
