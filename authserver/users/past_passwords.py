"""The passwords that staff had before, as hashes: none of the last four is set again (PCI DSS 8.3.7)."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select

from .. import crypto
from ..db import Database, table_of
from ..models.user import PastPassword, User

past = table_of(PastPassword)
users = table_of(User)

# with the present one they are the last four
KEPT = 3


def present_in(connection: Connection, user_id: str, groups: Iterable[str]) -> str | None:
    """The hash of the person's password, if they are in one of ``groups`` and have one."""
    query = select(users.c.password_hash, users.c.groups).where(users.c.user_id == user_id)
    row = connection.execute(query).one_or_none()
    return None if row is None or set(groups).isdisjoint(row.groups) else row.password_hash


def keep_in(connection: Connection, user_id: str, password_hash: str | None) -> None:
    """This hash, of a password that has just been replaced, is kept; None: none of the person's is.

    For a transaction that holds the version of all people: nobody counts beside it.
    """
    mine = past.c.user_id == user_id
    if password_hash is None:
        connection.execute(delete(past).where(mine))
        return
    last = connection.execute(select(func.max(past.c.number)).where(mine)).scalar() or 0
    values = {"id": crypto.random_token(128), "user_id": user_id, "password_hash": password_hash}
    connection.execute(insert(past).values(**values, number=last + 1))
    connection.execute(delete(past).where(mine, past.c.number <= last + 1 - KEPT))


def kept(database: Database, user_id: str) -> list[str]:
    """The hashes of the person's passwords before the present one, ``KEPT`` at most."""
    query = select(past.c.password_hash).where(past.c.user_id == user_id)
    with database.reading() as connection:
        return list(connection.execute(query.order_by(past.c.number.desc()).limit(KEPT)).scalars())
