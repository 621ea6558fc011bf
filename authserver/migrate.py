"""Migrations, from a checkout or an installed package, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from .config import asset_dir
from .db import Database

if TYPE_CHECKING:
    # imported by whoever migrates: every command asks where the database is, and few move it
    from alembic.config import Config


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(asset_dir("migrations")).replace("%", "%%"))
    return config


def upgrade(database: Database, revision: str = "head") -> str:
    """The database is at ``revision``; gives the revision it was at before, empty for a new one."""
    from alembic import command

    return _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str) -> str:
    """The database is back at ``revision``; what later ones added is gone."""
    from alembic import command

    return _run(database, command.downgrade, revision)


def current(database: Database) -> str:
    """The revision that the database is at; empty for a new one."""
    with database.reading() as connection:
        return _revision(connection)


def head() -> str:
    """The newest revision that this code knows: they are numbered, and their files begin with the number."""
    return max(path.name[:4] for path in (asset_dir("migrations") / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _run(database: Database, action: object, revision: str) -> str:
    config = _config()
    with database.unhurried() as connection:
        if not database.sqlite:
            # two hosts that start at once migrate one after the other
            connection.execute(text("SELECT pg_advisory_xact_lock(6749)"))
        before = _revision(connection)
        config.attributes["connection"] = connection
        action(config, revision)  # type: ignore[operator]
    return before
