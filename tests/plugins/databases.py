"""Migrated databases for tests, with signing keys in them.

On SQLite each test has a file of its own; on PostgreSQL one database is emptied for each.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import table_rows
from services import PostgresCluster

from authserver import migrate
from authserver.app import create_app, services_of
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


class Recycled:
    """One PostgreSQL database that is brought back to what its template held.

    To create a database costs ten times as much as to empty one of a few dozen rows.
    """

    def __init__(self, cluster: PostgresCluster, template: str) -> None:
        self.url = cluster.create_database(template)
        self._connection = psycopg.connect(cluster.conninfo(self.url.rpartition("/")[2]), autocommit=True)
        self._content = dict.fromkeys(table_rows.tables(self._connection), b"")
        self._content |= table_rows.read(self._connection)

    def reset(self) -> None:
        """The database holds the rows of the template; whoever else was connected is cut off."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with self._connection.transaction():
            table_rows.put(self._connection, self._content)

    def close(self) -> None:
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
