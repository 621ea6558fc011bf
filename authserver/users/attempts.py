"""Attempts at a person's secrets: counted before they are judged, over all factors together."""

from __future__ import annotations

from sqlalchemy import Connection, and_, case, or_, update

from .. import clock, crypto
from ..db import Database, insert_once, table_of
from ..models.replay import Replay
from ..models.user import User
from .record import UserRecord

users = table_of(User)

# PSD2 RTS art. 4(3)(b) and PCI DSS 8.3.4: five in a row, then half an hour
MAX_FAILURES = 5
LOCK_SECONDS = 1800
DECOY_SECONDS = 60


class Attempts:
    """Counts attempts, so that 50 guesses at once are 50."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, user_id: str | None) -> int:
        """The number of this attempt in a row, 1 to 5; 0 when none may be made. Committed either way.

        The fifth locks the account until it turns out right. Nobody, a locked and a disabled person cost
        the same statements and as durable a write as one whose attempt counts.
        """
        now = clock.now()
        lapsed = users.c.locked_until <= now
        failures = case((lapsed, 1), else_=users.c.failures + 1)
        may = or_(lapsed, and_(users.c.locked_until.is_(None), users.c.failures < MAX_FAILURES))
        reserved = (
            update(users)
            .where(users.c.user_id == (user_id or ""), users.c.state == "active", may)
            .values(
                failures=failures,
                locked_until=case((failures >= MAX_FAILURES, now + LOCK_SECONDS), else_=None),
            )
            .returning(users.c.failures)
        )
        with self._database.writing() as connection:
            number = connection.execute(reserved).scalar()
            if number is None:
                decoy = {
                    "purpose": "login.decoy",
                    "value": crypto.random_bytes(32),
                    "expires_at": now + DECOY_SECONDS,
                }
                insert_once(connection, Replay, decoy)
        return int(number or 0)

    def succeeded_in(self, connection: Connection, user: UserRecord, new_hash: str | None = None) -> bool:
        """Nothing counts against the person any more; False if what was verified no longer holds.

        The row's lock orders it with disabling and with a change of password.
        """
        values = {"failures": 0, "locked_until": None} | ({"password_hash": new_hash} if new_hash else {})
        same = and_(
            users.c.user_id == user.user_id,
            users.c.state == "active",
            users.c.password_hash == user.password_hash,
        )
        return connection.execute(update(users).where(same).values(values)).rowcount == 1

    def proved_in(self, connection: Connection, user_id: str, *, though_locked: bool) -> bool:
        """Nothing counts against an active person who proved who they are by what nobody guesses; or False.

        A locked account stays so, unless it is opened ``though_locked``.
        """
        now = clock.now()
        may = users.c.locked_until.is_(None) | (users.c.locked_until <= now)
        mine = (users.c.user_id == user_id) & (users.c.state == "active")
        opened = update(users).where(mine if though_locked else mine & may)
        return connection.execute(opened.values(failures=0, locked_until=None)).rowcount == 1
