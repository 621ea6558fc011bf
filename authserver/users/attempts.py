"""Attempts at a person's secrets: counted before they are judged, over all factors together."""

from __future__ import annotations

from typing import Any

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

    def succeeded_in(
        self, connection: Connection, user: UserRecord, number: int, new_hash: str | None, *, whole: bool
    ) -> bool:
        """Nothing counts against the person any more; False if the password that was verified is another now.

        Unless that was the ``whole`` login: then the attempt of this ``number`` alone does not count, so that
        who knows a password has no more guesses at the factor that follows. The row's lock orders it with
        disabling and with a change of password.
        """
        values: dict[str, Any] = _used() if whole else _without(number)
        values |= {"password_hash": new_hash} if new_hash else {}
        same = and_(
            users.c.user_id == user.user_id,
            users.c.state == "active",
            users.c.password_hash == user.password_hash,
        )
        return connection.execute(update(users).where(same).values(values)).rowcount == 1

    def cleared_in(self, connection: Connection, user_id: str) -> bool:
        """Nothing counts against the person any more, whom this transaction holds; False if not active."""
        return self._held_in(connection, user_id, _used())

    def given_back_in(self, connection: Connection, user_id: str, number: int) -> bool:
        """The attempt of this ``number`` does not count, those before it do; False if not active."""
        return self._held_in(connection, user_id, _without(number))

    def hold_in(self, connection: Connection, user_id: str) -> bool:
        """This transaction holds the person: others that change what they prove wait; False if not active."""
        return self._held_in(connection, user_id, {"failures": users.c.failures})

    def proved_in(self, connection: Connection, user_id: str, *, though_locked: bool) -> bool:
        """Nothing counts against an active person who proved who they are by what nobody guesses; or False.

        A locked account stays so, unless it is opened ``though_locked``.
        """
        now = clock.now()
        may = users.c.locked_until.is_(None) | (users.c.locked_until <= now)
        mine = (users.c.user_id == user_id) & (users.c.state == "active")
        opened = update(users).where(mine if though_locked else mine & may)
        return connection.execute(opened.values(_used())).rowcount == 1

    @staticmethod
    def _held_in(connection: Connection, user_id: str, values: dict[str, Any]) -> bool:
        active = (users.c.user_id == user_id) & (users.c.state == "active")
        return connection.execute(update(users).where(active).values(values)).rowcount == 1


def _used() -> dict[str, Any]:
    """Nothing counts against who has just proved all that they must."""
    return {"failures": 0, "locked_until": None, "last_used_at": clock.now()}


def _without(number: int) -> dict[str, Any]:
    """What counts against a person without their attempt of this ``number``."""
    values = {"failures": case((users.c.failures > 0, users.c.failures - 1), else_=0)}
    # the fifth locked the account in advance
    return values | ({"locked_until": None} if number == MAX_FAILURES else {})
