"""The plugins of the suite and the real services that tests ask for by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services import PostgresCluster, RedisServer, postgres_missing, redis_missing

pytest_plugins = [
    "plugins.skips", "plugins.spec", "plugins.groups", "plugins.compiled",
    "plugins.app", "plugins.databases", "plugins.people", "asking", "postbox",
]  # fmt: skip


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A running PostgreSQL cluster, shared by the session: create a database in it for each test."""
    if reason := postgres_missing():
        pytest.skip(reason)
    with PostgresCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis, shared by the session: flush it before use, and start it again after a kill."""
    if reason := redis_missing():
        pytest.skip(reason)
    with RedisServer() as server:
        yield server
