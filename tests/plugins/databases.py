"""Migrated databases for tests, with signing keys in them.

On SQLite each test has a file of its own; on PostgreSQL one database is emptied for each.
"""

from __future__ import annotations

import select
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import table_rows
from psycopg.pq import TransactionStatus
from services import PostgresCluster

from authserver import db, migrate
from authserver.app import create_app, services_of
from authserver.postgresql import PATIENCE_SECONDS, Impatient
from plugins.app import make_settings


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database with signing keys, to copy."""
    directory = tmp_path_factory.mktemp("sqlite-template")
    path = directory / "template.db"
    _migrate(directory, f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgres_cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated PostgreSQL database, to create others from."""
    url = postgres_cluster.create_database()
    _migrate(tmp_path_factory.mktemp("postgresql-template"), url)
    return url


def _migrate(directory: Path, database_url: str) -> None:
    services = services_of(create_app(make_settings(directory, database_url)))
    migrate.upgrade(services.database)
    services.rotation.ensure("ES256")
    services.database.engine.dispose()


class Resting:
    """Connections to one database that an app has closed: the next app's need no new server processes.

    A connection whose ``_pool`` this is comes here when it is closed, as psycopg lets those of its pools.
    """

    close_returns = True
    most = 8

    def __init__(self) -> None:
        self._kept: list[Impatient] = []

    def take(self) -> Impatient | None:
        """One that is as a new one would be, or None."""
        while self._kept:
            kept = self._kept.pop()
            # the server says nothing unasked but that it has gone
            if not select.select([kept.fileno()], [], [], 0)[0]:
                return kept
            self._end(kept)
        return None

    def putconn(self, connection: Impatient) -> None:
        """``connection`` rests; it ends if something is still under way in it."""
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if idle and not connection.autocommit and len(self._kept) < self.most:
            connection.patience = PATIENCE_SECONDS
            self._kept.append(connection)
        else:
            self._end(connection)

    def processes(self) -> list[int]:
        """The server processes of those that rest."""
        return [kept.info.backend_pid for kept in self._kept]

    def close(self) -> None:
        """None rests any more."""
        while self._kept:
            self._end(self._kept.pop())

    def _end(self, connection: Impatient) -> None:
        connection._pool = None
        connection.close()


class Recycled:
    """One PostgreSQL database that is brought back to what its template held.

    To create a database costs ten times as much as to empty one of a few dozen rows.
    """

    def __init__(self, cluster: PostgresCluster, template: str) -> None:
        self.url = cluster.create_database(template)
        self._connection = psycopg.connect(cluster.conninfo(self.url.rpartition("/")[2]), autocommit=True)
        self._content = dict.fromkeys(table_rows.tables(self._connection), b"")
        self._content |= table_rows.read(self._connection)
        self._resting = Resting()
        connect = db._postgresql_connect

        def connected(dialect: object, record: object, arguments: Any, options: Any) -> Impatient:
            mine = options.get("dbname") == self._connection.info.dbname
            if not mine or options.get("port") != self._connection.info.port:
                return connect(dialect, record, arguments, options)
            connection = self._resting.take() or connect(dialect, record, arguments, options)
            connection._pool = self._resting  # type: ignore[assignment]
            return connection

        db._postgresql_connect = connected

    def reset(self) -> None:
        """The database holds the rows of the template; whoever is still connected is cut off."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL(%s)",
            [self._resting.processes()],
        )
        with self._connection.transaction():
            table_rows.put(self._connection, self._content)

    def close(self) -> None:
        self._resting.close()
        self._connection.close()


@pytest.fixture(scope="session")
def recycled(postgres_cluster: PostgresCluster, postgresql_template: str) -> Iterator[Recycled]:
    database = Recycled(postgres_cluster, postgresql_template)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database with nothing but signing keys in it."""
    if request.param == "sqlite":
        path = tmp_path / "authserver.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    database: Recycled = request.getfixturevalue("recycled")
    database.reset()
    return database.url
