"""Servers for cases that need more than WSGI, and what all cases share."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plugins.app import MASTER, WIDE_LIMITS, World, make_settings, populate, populated
from running import RunningServer
from services import PostgresCluster, RedisServer

from authserver.app import create_app, services_of
from authserver.cli.db import prepare
from authserver.config import Settings

from .invariants import Descriptions, check_chain


@dataclasses.dataclass
class Live:
    """A running server and the rooms behind it."""

    server: RunningServer
    world: World


@pytest.fixture(scope="session")
def descriptions() -> Descriptions:
    return Descriptions()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], World]]:
    """One populated app for all the cases of an area that change nothing but what they say."""
    worlds: dict[str, World] = {}

    def make(area: str) -> World:
        if area not in worlds:
            directory = tmp_path_factory.mktemp("shared")
            if request.param == "sqlite":
                path = directory / "authserver.db"
                path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
                url = f"sqlite:///{path}"
            else:
                template = request.getfixturevalue("postgresql_template")
                url = request.getfixturevalue("postgres_cluster").create_database(template=template)
            worlds[area] = populated(create_app(make_settings(directory, url)))
        return worlds[area]

    yield make
    for world in worlds.values():
        check_chain(world.services)
        world.services.database.engine.dispose()


def _start(directory: Path, workers: int, database_url: str, **settings: str) -> Iterator[Live]:
    settings |= {"master_keys": MASTER, "database_url": database_url, **WIDE_LIMITS}
    server = RunningServer(directory, workers=workers, **settings)
    app = create_app(Settings.load(server.environment, cache_confirm_ms=10))
    prepare(services_of(app))
    with server:
        world = populate(app)
        time.sleep(1)  # by then every worker knows of the clients and scopes
        yield Live(server, world)
        check_chain(world.services)
        services_of(app).database.engine.dispose()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One worker on SQLite."""
    directory = tmp_path_factory.mktemp("live")
    yield from _start(directory, 1, f"sqlite:///{directory / 'authserver.db'}")


@pytest.fixture(scope="session")
def fleet(
    postgres_cluster: PostgresCluster, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """Two workers on PostgreSQL and Redis."""
    directory, database_url = tmp_path_factory.mktemp("fleet"), postgres_cluster.create_database()
    yield from _start(directory, 2, database_url, redis_url=redis_server.url)
