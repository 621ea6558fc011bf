"""Purging: rows whose time is over leave in batches, so that no table grows without end."""

from __future__ import annotations

from sqlalchemy import Table, delete, select

from . import clock
from .db import Database, table_of
from .models.client import ClientSecret
from .models.replay import Replay
from .models.token import Revocation

BATCH = 1000


def purge(database: Database) -> dict[str, int]:
    """No expired row is left; gives how many went, by table. Audit events are never purged here."""
    gone: dict[str, int] = {}
    for model in (Replay, Revocation, ClientSecret):
        table: Table = table_of(model)
        gone[table.name] = _purge_table(database, table)
    return gone


def _purge_table(database: Database, table: Table) -> int:
    total, now = 0, clock.now()
    keys = list(table.primary_key.columns)
    while True:
        with database.reading() as connection:
            expired = connection.execute(select(*keys).where(table.c.expires_at <= now).limit(BATCH)).all()
        if not expired:
            return total
        with database.writing() as connection:
            for row in expired:
                same = [column == value for column, value in zip(keys, row, strict=True)]
                connection.execute(delete(table).where(*same, table.c.expires_at <= now))
        total += len(expired)
