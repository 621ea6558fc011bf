"""Migrations, from a checkout or an installed package, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from .config import asset_dir
from .db import Database


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(asset_dir("migrations")).replace("%", "%%"))
    return config


def upgrade(database: Database, revision: str = "head") -> str:
    """The database is at ``revision``; gives the revision it was at before, empty for a new one."""
    return _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str) -> str:
    """The database is back at ``revision``; what later ones added is gone."""
    return _run(database, command.downgrade, revision)


def current(database: Database) -> str:
    """The revision that the database is at; empty for a new one."""
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def head() -> str:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _run(database: Database, action: object, revision: str) -> str:
    config = _config()
    with database.unhurried() as connection:
        if not database.sqlite:
            # two hosts that start at once migrate one after the other
            connection.execute(text("SELECT pg_advisory_xact_lock(6749)"))
        before = MigrationContext.configure(connection).get_current_revision() or ""
        config.attributes["connection"] = connection
        action(config, revision)  # type: ignore[operator]
    return before
