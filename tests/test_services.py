"""The real servers that other tests rely on: they start, crash, freeze and come back as promised."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from services import PostgresCluster, RedisServer, free_port, postgres_missing, redis_missing
from sqlalchemy import create_engine, text


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    if reason := postgres_missing():
        pytest.skip(reason)
    with PostgresCluster() as own:
        yield own


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    if reason := redis_missing():
        pytest.skip(reason)
    with RedisServer() as own:
        yield own


def run_sql(url: str, statement: str) -> object:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def test_a_new_database_is_empty_and_apart_from_the_others(postgres_cluster: PostgresCluster) -> None:
    first, second = postgres_cluster.create_database(), postgres_cluster.create_database()
    run_sql(first, "CREATE TABLE payment (id integer)")
    assert run_sql(first, "SELECT count(*) FROM payment") == 0
    assert run_sql(second, "SELECT to_regclass('payment')") is None


def test_a_database_made_from_a_template_holds_its_rows(postgres_cluster: PostgresCluster) -> None:
    template = postgres_cluster.create_database()
    run_sql(template, "CREATE TABLE payment AS SELECT 7 AS id")
    copy = postgres_cluster.create_database(template)
    assert run_sql(copy, "SELECT id FROM payment") == 7


def test_a_dropped_database_cuts_its_connections(postgres_cluster: PostgresCluster) -> None:
    name = postgres_cluster.create_database().rpartition("/")[2]
    with psycopg.connect(postgres_cluster.conninfo(name), autocommit=True) as connection:
        postgres_cluster.drop_database(name)
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres_cluster.execute("SELECT 1", database=name)


def test_the_cluster_keeps_commits_synchronous(postgres_cluster: PostgresCluster) -> None:
    url = postgres_cluster.create_database()
    assert run_sql(url, "SHOW synchronous_commit") == "on"
    assert run_sql(url, "SHOW max_connections") == "200"


def test_every_answered_commit_survives_a_kill_under_load(cluster: PostgresCluster) -> None:
    url = cluster.create_database()
    run_sql(url, "CREATE TABLE payment (id integer PRIMARY KEY)")
    committed: list[int] = []

    def pay(first: int) -> None:
        try:
            with psycopg.connect(cluster.conninfo(url.rpartition("/")[2]), autocommit=True) as connection:
                for number in range(first, first + 100_000):
                    connection.execute("INSERT INTO payment VALUES (%s)", [number])
                    committed.append(number)
        except psycopg.OperationalError:
            return

    writers = [threading.Thread(target=pay, args=(first,)) for first in (0, 100_000, 200_000)]
    for writer in writers:
        writer.start()
    while len(committed) < 100:
        time.sleep(0.005)
    cluster.kill()
    for writer in writers:
        writer.join()
    assert not cluster.running

    cluster.start()
    with psycopg.connect(cluster.conninfo(url.rpartition("/")[2])) as connection:
        stored = {number for (number,) in connection.execute("SELECT id FROM payment")}
    # One commit of each writer may have been made and not yet answered.
    assert set(committed) <= stored
    assert len(stored) <= len(committed) + len(writers)


def test_a_paused_cluster_answers_nobody_until_it_is_resumed(cluster: PostgresCluster) -> None:
    answered = threading.Event()

    def ask() -> None:
        with psycopg.connect(cluster.conninfo("postgres")) as connection:
            connection.execute("SELECT 1")
        answered.set()

    with cluster.paused():
        client = threading.Thread(target=ask)
        client.start()
        assert not answered.wait(0.3)
    client.join(10)
    assert answered.is_set()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stopped_cluster_starts_again_on_its_port(cluster: PostgresCluster, mode: str) -> None:
    url = cluster.create_database()
    cluster.stop(mode)
    with pytest.raises(psycopg.OperationalError):
        cluster.ping()
    cluster.start()
    assert run_sql(url, "SELECT 1") == 1


def test_a_closed_server_leaves_no_folder_and_no_process(cluster: PostgresCluster) -> None:
    cluster.kill()
    cluster.close()
    assert not cluster.directory.exists()
    assert not cluster.running


def test_a_server_outlives_neither_the_exit_nor_the_kill_of_its_tests(tmp_path: Path) -> None:
    if reason := redis_missing():
        pytest.skip(reason)
    script = """
import os, sys
sys.path.insert(0, sys.argv[1])
from services import RedisServer
server = RedisServer().start()
print(server.port, server.directory, flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), 9)
"""
    for end, code in (("exit", 0), ("kill", -signal.SIGKILL)):
        arguments = [sys.executable, "-c", script, str(Path(__file__).parent), end]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        port, directory = done.stdout.split()
        deadline = time.monotonic() + 10
        while Path(directory).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(directory).exists()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(port))):
            pass


def test_a_flushed_redis_is_empty(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("left", "over")
        redis_server.flushall()
        assert client.dbsize() == 0


def test_a_killed_redis_comes_back_empty_on_its_port(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("left", "over")
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("left") is None


def test_a_paused_redis_answers_nobody_until_it_is_resumed(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.2, retry=None) as client:
        client.ping()
        with own_redis.paused(), pytest.raises(redis.TimeoutError):
            client.ping()
        assert client.ping()


def test_a_free_port_is_outside_the_range_that_the_kernel_lends() -> None:
    assert 12000 <= free_port() < 32000
