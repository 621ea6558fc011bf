"""Replay stores: one winner, whoever races, and never open when the store is gone."""

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from resource_server.conftest import Clock
from resource_server.signing import NOW
from services import RedisServer

from authserver.resource_server import Unavailable
from authserver.resource_server.replay import ReplayStore
from authserver.resource_server.replay.memory import MemoryReplayStore
from authserver.resource_server.replay.redis import RedisReplayStore
from authserver.resource_server.replay.sqlite import SqliteReplayStore

ROUNDS = 100
PROCESSES = 4
THREADS = 4


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer) -> Iterator[Callable[..., Any]]:
    redis.start()
    redis.flushall()
    made: list[Any] = []

    def factory(**options: Any) -> Any:
        store: Any = {
            "sqlite": lambda: SqliteReplayStore(tmp_path / "replay.db", **options),
            "redis": lambda: RedisReplayStore(redis.url, **options),
            "memory": lambda: MemoryReplayStore(tmp_path / "replay.lock", **options),
        }[request.param]()
        made.append(store)
        return store

    yield factory
    for store in made:
        store.close()


def soon() -> int:
    return int(time.time()) + 60


def test_a_key_can_be_claimed_once(make: Callable[..., ReplayStore]) -> None:
    store = make()
    assert [store.claim("a", soon()), store.claim("a", soon()), store.claim("b", soon())] == [
        True,
        False,
        True,
    ]


def test_any_text_can_be_a_key(make: Callable[..., ReplayStore]) -> None:
    store = make()
    for key in ("", "x" * 100_000, "a\0b", "é", "'; DROP TABLE replay; --", "a\nb"):
        assert (store.claim(key, soon()), store.claim(key, soon())) == (True, False)


def test_what_has_expired_cannot_be_claimed(make: Callable[..., ReplayStore], clock: Clock) -> None:
    store = make(clock=clock)
    for expires_at in (NOW, NOW - 1, NOW - 1000, 0, -1):
        assert [store.claim("a", expires_at) for _ in range(2)] == [False, False]


def test_a_key_is_remembered_beyond_its_expiry_for_the_leeway(
    make: Callable[..., ReplayStore], clock: Clock
) -> None:
    store = make(clock=clock)
    assert store.claim("a", NOW + 10)
    clock.now += 60
    assert not store.claim("a", NOW + 1000)


def test_threads_of_one_process_have_one_winner_a_round(make: Callable[..., ReplayStore]) -> None:
    store = make()
    with ThreadPoolExecutor(16) as pool:
        for number in range(ROUNDS):
            results = list(pool.map(lambda _n, key=f"round-{number}": store.claim(key, soon()), range(16)))
            assert results.count(True) == 1


def race(kind: str, place: str, pipe: Connection) -> None:
    """In each round, start on a word from the parent and tell how many threads of this process won."""
    store: ReplayStore = SqliteReplayStore(Path(place)) if kind == "sqlite" else RedisReplayStore(place)
    with ThreadPoolExecutor(THREADS) as pool:
        pipe.send("ready")
        for number in range(ROUNDS):
            pipe.recv()
            claims = pool.map(lambda _n, key=f"race-{number}": store.claim(key, soon()), range(THREADS))
            pipe.send(sum(claims))


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_threads_of_several_processes_have_one_winner_a_round(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    redis.start()
    redis.flushall()
    place = str(tmp_path / "replay.db") if kind == "sqlite" else redis.url
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(PROCESSES)]
    racers = [spawn.Process(target=race, args=(kind, place, theirs)) for _ours, theirs in pipes]
    for racer in racers:
        racer.start()
    try:
        ours = [pipe for pipe, _theirs in pipes]
        assert [pipe.recv() for pipe in ours] == ["ready"] * PROCESSES
        for _round in range(ROUNDS):
            for pipe in ours:
                pipe.send("go")
            assert sum(pipe.recv() for pipe in ours) == 1
    finally:
        for racer in racers:
            racer.join(20)
            racer.close()
        for pair in pipes:
            for end in pair:
                end.close()


def in_a_fork(work: Callable[[], str]) -> str:
    """Return what `work` says in a forked child of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_a_forked_child_shares_the_sqlite_store_safely(tmp_path: Path) -> None:
    store = SqliteReplayStore(tmp_path / "replay.db")
    assert store.claim("parent", soon())
    said = in_a_fork(lambda: f"{store.claim('parent', soon())} {store.claim('child', soon())}")
    assert said == "False True"
    assert not store.claim("child", soon())
    mine = store._connection

    def opens_anew() -> str:
        store.claim("grandchild", soon())
        return str(store._connection is not mine)

    assert in_a_fork(opens_anew) == "True"
    store.close()


def test_the_memory_store_refuses_a_forked_child(tmp_path: Path) -> None:
    store = MemoryReplayStore(tmp_path / "lock")

    def claim() -> str:
        try:
            return str(store.claim("a", soon()))
        except RuntimeError as error:
            return str(error)

    assert in_a_fork(claim) == "a replay store in memory serves one process"
    assert store.claim("a", soon())
    store.close()


def hold(path: str, pipe: Connection) -> None:
    try:
        store = MemoryReplayStore(Path(path))
    except RuntimeError as error:
        pipe.send(str(error))
        return
    pipe.send("held")
    store.close()


def test_the_memory_store_refuses_a_second_process_until_the_first_is_gone(tmp_path: Path) -> None:
    first = MemoryReplayStore(tmp_path / "lock")
    with pytest.raises(RuntimeError, match="another process"):
        MemoryReplayStore(tmp_path / "lock")
    assert other_process(tmp_path / "lock") == "another process keeps its replay state in memory"
    first.close()
    assert other_process(tmp_path / "lock") == "held"


def other_process(path: Path) -> str:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=hold, args=(str(path), theirs))
    process.start()
    said: str = ours.recv()
    process.join(20)
    process.close()
    ours.close()
    theirs.close()
    return said


def test_the_memory_store_forgets_what_has_long_expired(tmp_path: Path, clock: Clock) -> None:
    store = MemoryReplayStore(tmp_path / "lock", clock=clock)
    for number in range(1000):
        clock.now = NOW + number
        assert store.claim(f"key-{number}", NOW + number + 10)
    assert len(store._keys) == len(store._ends) <= 72
    store.close()


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM replay").fetchone()[0])
    finally:
        connection.close()


def test_the_sqlite_store_does_not_grow_without_end(tmp_path: Path, clock: Clock) -> None:
    store = SqliteReplayStore(tmp_path / "replay.db", clock=clock)
    for number in range(1500):
        clock.now = NOW + number
        assert store.claim(f"key-{number}", NOW + number + 10)
    assert rows(tmp_path / "replay.db") < 300
    clock.now += 1000
    assert store.purge() > 0
    assert rows(tmp_path / "replay.db") == 0
    store.close()


def test_the_sqlite_store_remembers_across_a_restart(tmp_path: Path) -> None:
    store = SqliteReplayStore(tmp_path / "replay.db")
    assert store.claim("a", soon())
    store.close()
    assert not store.claim("a", soon())
    store.close()


def test_a_sqlite_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    for path in (tmp_path / "missing" / "replay.db", tmp_path / "broken.db"):
        store = SqliteReplayStore(path)
        with pytest.raises(Unavailable):
            store.claim("a", soon())
        with pytest.raises(Unavailable):
            store.purge()


def test_a_redis_that_is_gone_or_silent_is_unavailable_and_soon(redis: RedisServer) -> None:
    redis.start()
    store = RedisReplayStore(redis.url)
    assert store.claim("a-before", soon())
    redis.pause()
    started = time.perf_counter()
    with pytest.raises(Unavailable):
        store.claim("a-silent", soon())
    assert time.perf_counter() - started < 2
    redis.resume()
    redis.kill()
    with pytest.raises(Unavailable):
        store.claim("a-gone", soon())
    redis.start()
    assert store.claim("a-after", soon())
    store.close()


def test_a_redis_that_may_evict_keys_is_refused(redis: RedisServer) -> None:
    import redis as client_library

    redis.start()
    with client_library.Redis(port=redis.port) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        store = RedisReplayStore(redis.url)
        with pytest.raises(Unavailable):
            store.claim("b", soon())
        admin.config_set("maxmemory-policy", "noeviction")
        assert store.claim("b", soon())
        store.close()


def test_redis_forgets_keys_by_itself(redis: RedisServer) -> None:
    import redis as client_library

    redis.start()
    redis.flushall()
    store = RedisReplayStore(redis.url)
    assert store.claim("c", int(time.time()) + 100)
    with client_library.Redis(port=redis.port) as admin:
        [name] = list(admin.scan_iter())
        assert 155 <= admin.ttl(name) <= 161
        assert name != b"c"
    store.close()


def test_many_that_open_a_new_sqlite_file_at_once_all_get_in(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(30):
            stores = [SqliteReplayStore(tmp_path / f"{number}.db") for _ in range(8)]
            assert sum(pool.map(lambda store: store.claim("a", soon()), stores)) == 1
            for store in stores:
                store.close()
