"""Migrations: up, down, up again, and the same tables as the models say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from plugins.app import make_settings
from services import PostgresCluster
from sqlalchemy import inspect, select

from authserver import migrate, models  # noqa: F401 - every table
from authserver.app import create_app, services_of
from authserver.db import Base, Database, table_of
from authserver.models.lease import CACHES, CacheVersion
from authserver.models.scope import RateTier, Scope


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables."""
    cluster: PostgresCluster | None = None
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database()
    database = services_of(create_app(make_settings(tmp_path, url))).database
    yield database
    database.engine.dispose()
    if cluster:
        cluster.drop_database(url)


def tables(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_the_tables_are_those_of_the_models(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert tables(empty) == set(Base.metadata.tables)


def test_every_step_up_and_down_again(empty: Database) -> None:
    assert migrate.current(empty) == ""
    assert migrate.upgrade(empty) == ""
    assert migrate.current(empty) == migrate.head()
    # a second time there is nothing to do
    assert migrate.upgrade(empty) == migrate.head()
    script = ScriptDirectory.from_config(migrate._config())
    assert migrate.head() == script.get_current_head()
    revisions = [revision.revision for revision in script.walk_revisions()]
    for below in [*revisions[1:], "base"]:
        migrate.downgrade(empty, below)
    assert migrate.current(empty) == ""
    assert tables(empty) == set()
    for revision in reversed(revisions):
        migrate.upgrade(empty, revision)
    assert tables(empty) == set(Base.metadata.tables)


def test_a_new_database_has_what_every_installation_starts_with(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.reading() as connection:
        versions = {row.name: row.version for row in connection.execute(select(table_of(CacheVersion)))}
        scopes = connection.execute(select(table_of(Scope))).mappings().all()
        tiers = {(row.tier, row.endpoint) for row in connection.execute(select(table_of(RateTier)))}
    assert versions == dict.fromkeys(CACHES, 0)
    assert {row["name"] for row in scopes} == {
        "payments:initiate", "payments:read", "accounts:read", "refunds:create",
        "openid", "profile", "email", "offline_access",
    }  # fmt: skip
    assert {row["name"]: row["authorization_details_type"] for row in scopes}["payments:initiate"] == (
        "payment_initiation"
    )
    # each has a sentence for people
    assert all(row["description"][0].isupper() and " " in row["description"] for row in scopes)
    assert {tier for tier, _ in tiers} == {"bronze", "standard", "gold"}
    assert all((tier, "*") in tiers for tier, _ in tiers)


def test_a_failed_migration_leaves_the_database_as_it_was(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    def fails(*arguments: object) -> None:
        command.upgrade(*arguments)  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate._run(empty, fails, "head")
    assert tables(empty) == set()
    assert migrate.upgrade(empty) == ""
