"""Exact counts: fifty attempts at once are fifty, over all workers and whatever happens to Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from services import RedisServer
from throttle.conftest import SHARE, Ticking, Worker

from authserver import counters
from authserver.throttle.exact import Exact
from authserver.throttle.limit import Limit
from authserver.throttle.shared import PAUSE, WARY_SECONDS

Workers = Callable[..., list[Worker]]
LIMIT = Limit(20, 300)


def test_attempts_at_once_over_workers_are_counted_exactly(workers: Workers) -> None:
    fleet = workers(4)
    start = threading.Barrier(24)

    def guess(one: Worker) -> int:
        start.wait()
        return one.attempts(LIMIT, 5)

    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(guess, fleet * 6)) == LIMIT.amount


def test_what_is_given_back_can_be_taken_again_and_makes_no_room_beyond_that(workers: Workers) -> None:
    one, other = workers(2)
    assert one.attempts(LIMIT, 10) == 10
    for _ in range(30):
        one.exact.add(LIMIT, -1, "login")
    assert one.attempts(LIMIT, 10) + other.attempts(LIMIT, 30) == LIMIT.amount


def test_what_is_given_back_after_its_window_makes_no_room_in_the_next(
    workers: Workers, redis: RedisServer
) -> None:
    (one, other), name = workers(2), LIMIT.item().key_for("exact", "login")
    one.attempts(LIMIT, 5)
    # Redis's window ends a moment before the process's own
    one.shared.storage.clear(name)
    for _ in range(5):
        one.exact.add(LIMIT, -1, "login")
    assert one.shared.storage.get(name) == 0
    assert other.attempts(LIMIT, 30) == LIMIT.amount


def test_a_count_ends_as_a_whole_and_its_counter_in_redis_does(workers: Workers, ticking: Ticking) -> None:
    (one,), limit = workers(1), Limit(5, 300)
    assert one.attempts(limit, 8) == 5
    name = limit.item().key_for("exact", "login")
    assert one.shared.storage.get_expiry(name) > 0
    ticking.walk(300)
    one.shared.storage.clear(name)
    assert one.attempts(limit, 8) == 5


def test_a_redis_that_forgets_gives_no_second_limit(
    workers: Workers, redis: RedisServer, ticking: Ticking
) -> None:
    """An emptied Redis is noticed within a second, without a request, and every worker puts its own back."""
    fleet = workers(3)
    assert [one.attempts(LIMIT, 6) for one in fleet] == [6, 6, 6]
    redis.flushall()
    ticking.walk(1.1)
    for one in fleet:
        one.job()
    ticking.walk(WARY_SECONDS)
    # also when the attacker now asks the one worker that he had not asked much
    assert fleet[0].attempts(LIMIT, 30) == LIMIT.amount - 18
    assert all(one.attempts(LIMIT, 5) == 0 for one in fleet)
    assert all(one.told == [] for one in fleet)


def test_who_finds_redis_empty_first_is_as_strict_as_without_it_until_others_have_put_back(
    workers: Workers, redis: RedisServer, ticking: Ticking
) -> None:
    one, other = workers(2)
    assert one.attempts(LIMIT, 20) == one.tokens(LIMIT, 20) == LIMIT.amount
    assert other.attempts(LIMIT, 1, "warm") == 1
    redis.flushall()
    ticking.walk(1.1)
    other.job()
    # the first worker has not noticed yet
    assert other.attempts(LIMIT, 10) == other.tokens(LIMIT, 10) == LIMIT.strict(SHARE)
    one.job()
    ticking.walk(WARY_SECONDS)
    assert other.attempts(LIMIT, 30) == other.tokens(LIMIT, 30) == 0


@pytest.mark.parametrize("emptied", [True, False])
def test_a_lost_redis_makes_each_worker_stricter_and_what_it_let_pass_counts_afterwards(
    workers: Workers, redis: RedisServer, ticking: Ticking, emptied: bool
) -> None:
    fleet = workers(2, 10.0 if emptied else 0.5)
    # both know it before it is lost
    assert [one.attempts(LIMIT, 1, "warm") for one in fleet] == [1, 1]
    strict = LIMIT.strict(SHARE)
    if emptied:
        redis.kill()
    else:
        redis.pause()
    assert [one.attempts(LIMIT, 10) for one in fleet] == [strict, strict]
    assert all(one.shared.lost and one.told == [one.told[0]] for one in fleet)
    if emptied:
        redis.start()
    else:
        redis.resume()
    ticking.walk(PAUSE + 0.1)
    for one in fleet:
        one.job()
    assert all(one.told[-1] == "back" for one in fleet)
    # the refused ones count as well, as they do with Redis
    assert [one.attempts(LIMIT, 10) for one in fleet] == [0, 0]
    assert fleet[0].shared.storage.get(LIMIT.item().key_for("exact", "login")) >= 2 * 10


def test_a_redis_that_counts_for_itself_cannot_open_a_limit_of_one_worker(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = workers(1)
    monkeypatch.setattr(one.shared.storage, "incr", lambda *_: 2)
    assert one.attempts(LIMIT, 100) == LIMIT.amount


def test_without_redis_a_process_counts_alone(ticking: Ticking) -> None:
    alone = Exact(None, SHARE)
    assert [alone.add(LIMIT, 1, "x") for _ in range(25)] == [True] * 20 + [False] * 5
    assert alone.add(LIMIT, 1, "y")
    for _ in range(30):
        alone.add(LIMIT, -1, "y")
    assert [alone.add(LIMIT, 1, "y") for _ in range(21)] == [True] * 20 + [False]
    ticking.walk(300)
    assert alone.add(LIMIT, 1, "x")


def test_a_million_addresses_cost_bounded_memory_and_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MOST_KEYS", 1000)
    monkeypatch.setattr(counters, "CROWDS", 8)
    alone, limit = Exact(None, SHARE), Limit(5, 300)
    assert [alone.add(limit, 1, "first") for _ in range(3)] == [True] * 3
    passed = sum(alone.add(limit, 1, f"2001:db8:0:{n:x}::/64") for n in range(20_000))
    assert len(alone._table) <= 1000 + 8
    # newcomers share what is left: fewer pass, not more
    assert passed <= 999 + 8 * limit.amount
    # and who was known keeps its own count
    assert [alone.add(limit, 1, "first") for _ in range(3)] == [True, True, False]
