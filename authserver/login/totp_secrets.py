"""Secrets of authenticator apps: a person's one, its codes as they are spent, and the misses that end it.

Codes are short. Five guesses in a row lock the person for a while (``users.attempts``); a hundred wrong ones
without a right one between, over whatever time, are the most that an app allows (NIST SP 800-63B-4 §3.2.2).
It rests then, and the person, whose password somebody knows, is told. A recovery code wakes it. A passkey
does not: who signs in by that every day would forgive as often what somebody else tries.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from .. import clock
from ..db import table_of
from ..models.factor import TotpSecret

table = table_of(TotpSecret)

MOST_MISSES = 100


def place_of(totp_id: str) -> str:
    """What the seal of a secret is bound to."""
    return f"totp_secret/secret/{totp_id}"


def confirmed(user_id: str | ColumnElement[str]) -> ColumnElement[bool]:
    """The one of the person that counts."""
    return (table.c.user_id == user_id) & table.c.confirmed_at.is_not(None)


def read_in(connection: Connection, user_id: str) -> Any:
    """Its row; None if there is none, or it rests."""
    query = select(table.c.totp_id, table.c.secret).where(confirmed(user_id), table.c.misses < MOST_MISSES)
    return connection.execute(query).one_or_none()


def missed_in(connection: Connection, user_id: str) -> bool:
    """One more wrong code was tried; True if it was the last that the app allows."""
    tried = confirmed(user_id) & (table.c.misses < MOST_MISSES)
    counted = update(table).where(tried).values(misses=table.c.misses + 1).returning(table.c.misses)
    return connection.execute(counted).scalar() == MOST_MISSES


def spend_in(connection: Connection, totp_id: str, step: int) -> bool:
    """The code of ``step`` is spent, and no miss counts; False if it was, or a later one (RFC 6238 §5.2)."""
    unspent = (table.c.totp_id == totp_id) & (table.c.last_step < step) & (table.c.misses < MOST_MISSES)
    values = {"last_step": step, "last_used_at": clock.now(), "misses": 0}
    return connection.execute(update(table).where(unspent).values(values)).rowcount == 1


def forgive_in(connection: Connection, user_id: str) -> None:
    """No miss counts any more."""
    missed = confirmed(user_id) & (table.c.misses > 0)
    connection.execute(update(table).where(missed).values(misses=0))
