"""Telling people that their account is locked: by a job, so that no answer to a guess takes longer for it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select, update

from .. import clock
from ..db import Database, table_of
from ..mail import Mail
from ..models.user import User
from .attempts import LOCK_SECONDS

users = table_of(User)

# a fifth attempt locks in advance, until it turns out right
SETTLED_SECONDS = 3
# a lock that was over before any job ran is told for so long
LATE_SECONDS = 86_400
BATCH = 100


class LockNotices:
    """Mails to people whose account is locked, one a lock."""

    def __init__(self, database: Database, mail: Mail) -> None:
        self._database = database
        self._mail = mail

    def pending(self) -> bool:
        """Whether somebody is to be told."""
        with self._database.reading() as connection:
            return connection.execute(select(users.c.user_id).where(_untold()).limit(1)).first() is not None

    def tell(self) -> int:
        """Everybody whose account is locked gets a mail of it; gives how many."""
        with self._database.reading() as connection:
            query = select(users.c.user_id, users.c.locked_until).where(_untold()).limit(BATCH)
            found = connection.execute(query).all()
        return sum(self._tell(row.user_id, row.locked_until) for row in found)

    def _tell(self, user_id: str, until: int) -> bool:
        mine = (users.c.user_id == user_id) & (users.c.locked_until == until) & _untold()
        with self._database.writing() as connection:
            if connection.execute(update(users).where(mine).values(locked_told=until)).rowcount != 1:
                return False
            return self._mail.queue_in(connection, user_id, "account_locked")


def _untold() -> ColumnElement[bool]:
    now = clock.now()
    return (
        (users.c.locked_until > now - LATE_SECONDS)
        & (users.c.locked_until <= now + LOCK_SECONDS - SETTLED_SECONDS)
        & or_(users.c.locked_told.is_(None), users.c.locked_told != users.c.locked_until)
    )
