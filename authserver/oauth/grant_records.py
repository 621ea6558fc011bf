"""Grants as operators see them: whose, which client's, and what lives under each."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from .. import clock
from ..db import Database, table_of
from ..models.authorization import Authorization
from ..models.grant import Grant

table = table_of(Grant)
authorizations = table_of(Authorization)


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """What a person allows a client; so many ``authorizations`` under it have not ended."""

    grant_id: str
    user_id: str
    client_id: str
    scopes: tuple[str, ...]
    created_at: int
    updated_at: int
    authorizations: int


def find(database: Database, **wanted: str) -> list[GrantRecord]:
    """The grants that have not ended of ``user_id``, ``client_id`` or ``grant_id``, the newest first."""
    live = (
        select(func.count())
        .select_from(authorizations)
        .where(authorizations.c.grant_id == table.c.grant_id, authorizations.c.ended_at.is_(None))
        .where(authorizations.c.expires_at > clock.now())
        .scalar_subquery()
    )
    query = select(table, live.label("authorizations")).where(table.c.ended_at.is_(None))
    for name, value in wanted.items():
        query = query.where(table.c[name] == value)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(table.c.created_at.desc())).mappings().all()
    values = [{name: row[name] for name in GrantRecord.__slots__} for row in rows]
    return [GrantRecord(**(value | {"scopes": tuple(value["scopes"])})) for value in values]
