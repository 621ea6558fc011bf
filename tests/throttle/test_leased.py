"""Leased quotas: how little is saved, how little is lost, and that many workers cannot multiply a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from services import RedisServer
from throttle.conftest import SHARE, Ticking, Worker

from authserver.throttle import leased as leased_module
from authserver.throttle.leased import SLICES, Leased
from authserver.throttle.limit import Limit

Workers = Callable[..., list[Worker]]


def questions(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every question that ``worker`` asks Redis from now on."""
    asked: list[str] = []
    storage = worker.shared.storage
    for name in ("get_sliding_window", "acquire_sliding_window_entry"):
        original = getattr(storage, name)

        def noted(*arguments: Any, original: Any = original, name: str = name) -> Any:
            asked.append(name)
            return original(*arguments)

        monkeypatch.setattr(storage, name, noted)
    return asked


@pytest.mark.parametrize("count", [1, 2, 16])
def test_workers_together_let_exactly_the_limit_pass(workers: Workers, count: int) -> None:
    limit = Limit(1000, 3600)
    fleet = workers(count)
    passed = sum(one.leased.take(limit, "client") for _ in range(1200 // count + 1) for one in fleet)
    # asked in turns, and each was asked often enough to use up what it had drawn
    assert passed == limit.amount
    assert not any(one.leased.take(limit, "client") for one in fleet)


def test_sixteen_workers_asked_at_once_do_not_multiply_a_limit(workers: Workers) -> None:
    limit, fleet = Limit(400, 3600), workers(16)
    start = threading.Barrier(32)

    def flood(one: Worker) -> int:
        start.wait()
        return one.tokens(limit, 100)

    with ThreadPoolExecutor(32) as pool:
        passed = sum(pool.map(flood, [*fleet, *fleet]))
    assert passed == limit.amount


def test_a_client_of_one_worker_is_refused_early_by_the_others_slices_at_most(workers: Workers) -> None:
    limit, fleet = Limit(2000, 3600), workers(16)
    used = 0
    for one in fleet[1:]:
        # enough for each to hold the largest slice there is, and to stop in the middle of it
        used += one.tokens(limit, 16)
    alone = fleet[0].tokens(limit, limit.amount)
    left_over = limit.amount - used - alone
    print(f"{used} of fifteen workers, {alone} of one, {left_over} lie in slices")
    assert 0 <= left_over <= 15 * limit.amount // SLICES
    # and they are not lost: who holds them gives them out
    assert sum(one.tokens(limit, limit.amount) for one in fleet[1:]) == left_over


def test_a_large_quota_costs_few_questions_and_a_small_one_is_exact(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = workers(1)
    asked = questions(one, monkeypatch)
    assert one.tokens(Limit(60_000, 60), 3000) == 3000
    # 1, 2, 4 … 256, then three hundredths of it: two questions each
    assert len(asked) <= 2 * 20, len(asked)
    asked.clear()
    small = Limit(20, 3600)
    assert [one.leased.quota(small, "small")[1].remaining for _ in range(21)] == [*range(19, -1, -1), 0]


def test_a_client_that_asks_seldom_draws_no_more_than_it_uses(workers: Workers, redis: RedisServer) -> None:
    (one,) = workers(1)
    limit = Limit(60_000, 60)
    for number in range(50):
        assert one.leased.take(limit, "address", str(number))
    drawn = one.shared.storage.get_sliding_window(limit.item().key_for("address", "7"), 60)[2]
    assert drawn == 1


def test_what_is_told_is_true_whoever_used_it(workers: Workers, ticking: Ticking) -> None:
    limit, (one, other) = Limit(4000, 3600), workers(2)
    assert one.leased.quota(limit, "client")[1].remaining == 3999
    other.tokens(limit, 1000)
    ticking.walk(1.1)
    allowed, told = one.leased.quota(limit, "client")
    drawn = 1001 + 20
    assert allowed
    assert limit.amount - drawn <= told.remaining <= limit.amount - 1002
    assert 0 < told.reset <= 3600


def test_a_slice_ends_with_its_window(workers: Workers, ticking: Ticking) -> None:
    limit, (one,) = Limit(4000, 2), workers(1)
    one.tokens(limit, 33)
    (held,) = one.leased._held.values()
    assert held.drawn - held.used > 0
    ticking.walk(2.0)
    assert one.leased.take(limit, "client")
    # drawn anew, and no more than one at first
    assert (held.drawn, held.used) == (1, 1)


def test_the_edge_of_two_windows_does_not_double_a_limit(workers: Workers) -> None:
    """Redis moves its windows by its own clock: a second's limit, used up, is not there twice at once."""
    limit, (one,) = Limit(100, 1), workers(1)
    assert one.tokens(limit, 150) == 100
    storage, name = one.shared.storage, limit.item().key_for("client")
    while storage.get_sliding_window(name, 1)[0] == 0:
        pass
    # at the beginning of the next window nearly all of the previous one counts
    previous, left, _, _ = storage.get_sliding_window(name, 1)
    assert previous == 100
    one.leased._held.clear()
    assert one.tokens(limit, 150) <= 100 - 100 * left + 100 * 0.3


def test_one_worker_lets_no_more_pass_than_the_limit_whatever_redis_says(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, (one,) = Limit(50, 3600), workers(1)
    storage = one.shared.storage
    monkeypatch.setattr(storage, "get_sliding_window", lambda *_: (0, 0.0, -10_000, 3600.0))
    monkeypatch.setattr(storage, "acquire_sliding_window_entry", lambda *_: True)
    assert one.tokens(limit, 500) == limit.amount


def test_a_refusal_is_remembered_but_not_beyond_the_next_that_comes_free(
    workers: Workers, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, (one,) = Limit(10, 3600), workers(1)
    one.tokens(limit, 11)
    asked = questions(one, monkeypatch)
    assert one.tokens(limit, 500) == 0
    assert asked == []
    ticking.walk(1.1)
    assert one.tokens(limit, 500) == 0
    assert len(asked) == 1


def test_what_a_process_holds_is_bounded_and_a_stranger_empties_nobodys_quota(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leased_module, "MOST_HELD", 100)
    limit, (one,) = Limit(60_000, 60), workers(1)
    drawn = 0
    for number in range(1000):
        assert one.leased.take(limit, f"2001:db8::{number:x}")
        if number % 100 == 0:
            # pushed out by strangers again and again, it draws one each time: it loses nothing by that
            assert one.leased.take(limit, "merchant")
            drawn += 1
    assert len(one.leased._held) == 100
    name = limit.item().key_for("merchant")
    assert one.shared.storage.get_sliding_window(name, 60)[2] == drawn


def test_without_redis_a_process_counts_exactly() -> None:
    alone, limit = Leased(None, SHARE), Limit(30, 3600)
    told = [alone.quota(limit, "client") for _ in range(40)]
    assert [allowed for allowed, _ in told] == [True] * 30 + [False] * 10
    assert [quota.remaining for _, quota in told] == [*range(29, -1, -1)] + [0] * 10
    assert all(0 < quota.reset <= 3600 for _, quota in told)
