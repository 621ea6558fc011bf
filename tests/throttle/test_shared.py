"""Redis behind a circuit: whatever is wrong with it costs one request a second, and is noticed to be over."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis as client_library
from limits.storage import storage_from_string
from services import RedisServer
from throttle.conftest import SHARE, Ticking, Worker

from authserver import metrics
from authserver.throttle.limit import Limit
from authserver.throttle.shared import MARK_EVERY, MARK_SECONDS, PAUSE, WARY_SECONDS, Lost, Shared

Workers = Callable[..., list[Worker]]
LIMIT = Limit(20, 300)
# how long a Redis that says nothing is waited for here
SILENCE = 0.5


def failures() -> float:
    """How often Redis was found lost."""
    return float(metrics.dependency_failures.labels("redis")._value.get())


@contextmanager
def refused(redis: RedisServer) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(redis: RedisServer) -> Iterator[None]:
    with redis.paused():
        yield


@contextmanager
def full(redis: RedisServer) -> Iterator[None]:
    with client_library.Redis(port=redis.port) as admin:
        admin.config_set("maxmemory", "1")
        yield
        admin.config_set("maxmemory", "0")


@contextmanager
def read_only(redis: RedisServer) -> Iterator[None]:
    with client_library.Redis(port=redis.port) as admin:
        admin.config_set("replica-serve-stale-data", "yes")
        admin.replicaof("127.0.0.1", "1")
        yield
        admin.replicaof("NO", "ONE")


@contextmanager
def another_password(redis: RedisServer) -> Iterator[None]:
    with client_library.Redis(port=redis.port) as admin:
        admin.config_set("requirepass", "another")
        admin.auth("another")
        # connections that are open stay what they are: as after a failover, they are new ones
        admin.client_kill_filter(_type="normal", skipme=True)
        yield
        admin.config_set("requirepass", "")


@contextmanager
def of_another_type(redis: RedisServer) -> Iterator[None]:
    """Somebody else's data under our names."""
    with client_library.Redis(port=redis.port) as admin:
        for key in admin.scan_iter():
            admin.delete(key)
            admin.lpush(key, "x")
        yield
        admin.flushall()


@pytest.mark.parametrize("broken", [refused, frozen, full, read_only, another_password, of_another_type])
def test_whatever_is_wrong_with_redis_limits_are_stricter_and_come_back(
    workers: Workers,
    redis: RedisServer,
    ticking: Ticking,
    broken: Callable[[RedisServer], Iterator[None]],
) -> None:
    (one,) = workers(1, SILENCE if broken is frozen else 10.0)
    assert one.attempts(LIMIT, 1, "warm") == one.tokens(LIMIT, 1, "warm") == 1
    assert one.failures.room(LIMIT, "warm")
    with broken(redis):  # type: ignore[attr-defined]
        ticking.walk(MARK_EVERY)
        failed = failures()
        strict = LIMIT.strict(SHARE)
        assert one.attempts(LIMIT, 30) == strict
        assert one.tokens(LIMIT, 30) == strict
        for _ in range(30):
            one.failures.add(LIMIT, "address")
        assert not one.failures.room(LIMIT, "address")
        # one wait, for a connection or for an answer; not one for each of those
        assert failures() == failed + 1
        assert one.shared.lost
        # and it is not taken for recovered by what still answers
        for _ in range(3):
            ticking.walk(PAUSE + 0.1)
            one.job()
        assert one.shared.lost
    ticking.walk(PAUSE + 0.1)
    one.job()
    assert not one.shared.lost
    assert one.told[-1] == "back"
    ticking.walk(WARY_SECONDS)
    assert one.attempts(LIMIT, 5, "new") == one.tokens(LIMIT, 5, "new") == 5


def test_only_one_thread_waits_for_a_redis_that_says_nothing(
    workers: Workers, redis: RedisServer, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = workers(1, SILENCE)
    one.attempts(LIMIT, 1)
    with redis.paused():
        one.attempts(LIMIT, 1)
        ticking.walk(PAUSE + 0.1)
        start, asking = threading.Barrier(16), []
        original = one.shared.storage.incr

        def noted(*arguments: object) -> int:
            asking.append(threading.get_ident())
            return int(original(*arguments))

        monkeypatch.setattr(one.shared.storage, "incr", noted)

        def attempt(number: int) -> int:
            start.wait()
            return one.attempts(LIMIT, 1, str(number))

        with ThreadPoolExecutor(16) as pool:
            # each is a first one of its name, and let pass by what the process allows alone
            assert sum(pool.map(attempt, range(16))) == 16
    assert len(asking) == 1


def test_each_failure_and_each_recovery_is_in_the_metrics(
    workers: Workers, redis: RedisServer, ticking: Ticking
) -> None:
    def counted() -> tuple[float, float]:
        return failures(), metrics.dependency_recoveries.labels("redis")._value.get()

    (one,) = workers(1)
    one.attempts(LIMIT, 1)
    failed, recoveries = counted()
    redis.kill()
    for _ in range(3):
        ticking.walk(PAUSE + 0.1)
        one.attempts(LIMIT, 20)
    assert counted() == (failed + 3, recoveries)
    redis.start()
    ticking.walk(PAUSE + 0.1)
    one.attempts(LIMIT, 1)
    assert counted() == (failed + 3, recoveries + 1)


def test_its_own_mark_tells_a_process_that_redis_forgot_and_does_not_cry_wolf(
    workers: Workers, redis: RedisServer, ticking: Ticking
) -> None:
    (one,) = workers(1)
    one.attempts(LIMIT, 1)
    assert one.shared.generation == 0
    # over the renewal of its mark, and after a night in which nobody asked
    for seconds in (1.1, MARK_SECONDS / 2, 1.1, MARK_SECONDS - 1, 10 * MARK_SECONDS):
        ticking.walk(seconds)
        if seconds > MARK_SECONDS:
            redis.flushall()
        one.job()
        assert one.shared.generation == 0
    redis.flushall()
    ticking.walk(1.1)
    one.job()
    assert one.shared.generation == 1


def serving(answer: bytes) -> tuple[socket.socket, int]:
    """Something on a port that answers everything with ``answer``."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while connection.recv(4096):
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$-1\r\n" * 8,
        b"+OK\r\n" * 8,
        b"*2\r\n$1\r\nx\r\n:1\r\n" * 8,
        b":99999999999999999999999\r\n" * 8,
        b"\xff\xfe\x00",
    ],
)
def test_a_redis_that_answers_nonsense_is_a_lost_one(answer: bytes) -> None:
    listener, port = serving(answer)
    try:
        one = Worker(f"redis://127.0.0.1:{port}/0", 0.3)
        assert one.attempts(LIMIT, 60) <= LIMIT.amount
        assert one.tokens(LIMIT, 60) <= LIMIT.amount
    finally:
        listener.close()


def test_a_wrong_password_and_a_dead_port_from_the_start_are_lost_ones(redis: RedisServer) -> None:
    for url in (f"redis://:wrong@127.0.0.1:{redis.port}/0", "redis://127.0.0.1:1/0"):
        with client_library.Redis(port=redis.port) as admin:
            admin.config_set("requirepass", "right")
            try:
                one = Worker(url)
                assert one.attempts(LIMIT, 30) == one.tokens(LIMIT, 30) == LIMIT.strict(SHARE)
                assert one.shared.lost
            finally:
                admin.auth("right")
                admin.config_set("requirepass", "")


def test_a_clock_that_jumps_moves_no_window_of_a_process(
    workers: Workers, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = workers(1)
    one.attempts(LIMIT, 20)
    redis.kill()
    for jump in (86_400, -86_400):
        now = time.time()
        monkeypatch.setattr(time, "time", lambda now=now, jump=jump: now + jump)
        assert one.attempts(LIMIT, 5) == 0
    redis.start()


def test_nothing_but_the_question_is_shared() -> None:
    """Lost is raised before the storage is touched: an open circuit asks nothing."""
    storage = storage_from_string("redis://127.0.0.1:1/0")
    shared = Shared(storage, lambda _: None)
    with pytest.raises(Lost):
        shared.ask(lambda _: None)
    touched = []
    with pytest.raises(Lost):
        shared.ask(touched.append)
    assert touched == []
