"""Devices that a person is known by: a signed cookie in the browser, a row for each person who uses it.

The cookie proves nothing about who sits there: it spares questions that a strange device would raise, and
never one that policy asks, a payment's least of all. It is dead after a new password, once it was revoked,
with any bit changed, for another person, and in a browser of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.sign_in import TrustedDevice
from .risk.history import DeviceState
from .user_agent import kind_of

table = table_of(TrustedDevice)

TAG_PURPOSE, ROW_PURPOSE = "device.tag", "device.row"
TOKEN_LENGTH = 43
TAG_BYTES = 16
MOST_LENGTH = 200
DAY = 86_400
# of one person; the one seen longest ago makes room
MOST = 30


@dataclass(frozen=True, slots=True)
class Device:
    """A known device as lists show it; ``device_id`` names it in forms and opens nothing."""

    device_id: str
    user_agent: str
    created_at: int
    last_seen_at: int
    here: bool


@dataclass(frozen=True, slots=True)
class _Cookie:
    kid: str
    token: str


class DeviceTrust:
    """Knows devices again."""

    def __init__(self, database: Database, master: crypto.MasterKeys, audit: Audit, days: int) -> None:
        self._database = database
        self._master = master
        self._audit = audit
        self.lifetime = days * DAY

    def state(self, user_id: str, cookie: str | None, user_agent: str) -> DeviceState:
        """What the cookie says of this person; ``mismatch`` if it is not theirs, or not what it was."""
        if not cookie:
            return "none"
        found = self._parse(cookie)
        if found is None:
            return "mismatch"
        with self._database.reading() as connection:
            row = self._row_in(connection, user_id, found)
        if row is None or row.revoked_at is not None:
            return "mismatch"
        if row.expires_at <= clock.now():
            return "none"
        return "known" if kind_of(row.user_agent) == kind_of(user_agent) else "mismatch"

    def remember_in(self, connection: Connection, user_id: str, cookie: str | None, user_agent: str) -> str:
        """The cookie by which this browser is known for the person from now on.

        One that several people use keeps its token: each of them has a row of their own.
        """
        now, found = clock.now(), self._parse(cookie or "")
        row = None if found is None else self._row_in(connection, user_id, found)
        if found is not None and row is not None and self._usable(row, user_agent, now):
            same = (table.c.digest == row.digest) & table.c.revoked_at.is_(None)
            values = {"last_seen_at": now, "expires_at": now + self.lifetime, "user_agent": user_agent[:256]}
            if connection.execute(update(table).where(same).values(values)).rowcount == 1:
                return self._cookie(found)
        if found is None or row is not None:
            found = _Cookie(self._master.active, crypto.random_token())
        self._add_in(connection, user_id, found, user_agent)
        return self._cookie(found)

    def list(self, user_id: str, cookie: str | None) -> list[Device]:
        """The devices that the person is known by, the one seen last first."""
        found = self._parse(cookie or "")
        here = None if found is None else self._digest(user_id, found)
        with self._database.reading() as connection:
            query = select(table).where(_live(user_id)).order_by(table.c.last_seen_at.desc()).limit(MOST)
            rows = connection.execute(query).all()
        return [
            Device(row.device_id, row.user_agent, row.created_at, row.last_seen_at, row.digest == here)
            for row in rows
        ]

    def revoke(self, user_id: str, device_id: str) -> bool:
        """The person is no longer known by that device; False if they were not."""
        which = _live(user_id) & (table.c.device_id == device_id)
        with self._database.writing() as connection:
            changed = connection.execute(update(table).where(which).values(revoked_at=clock.now())).rowcount
            if changed:
                entry = Entry(Event.DEVICE_REVOKED, user_id=user_id, detail={"device": device_id})
                self._audit.record_in(connection, entry)
        return changed == 1

    @staticmethod
    def forget_all_in(connection: Connection, user_id: str) -> None:
        """The person is known by no device."""
        connection.execute(update(table).where(_live(user_id)).values(revoked_at=clock.now()))

    def _add_in(self, connection: Connection, user_id: str, found: _Cookie, user_agent: str) -> None:
        now, device_id = clock.now(), crypto.identifier()
        seen = select(table.c.digest).where(_live(user_id)).order_by(table.c.last_seen_at.desc())
        # SQLite has no OFFSET without LIMIT
        crowded = connection.execute(seen.offset(MOST - 1).limit(MOST)).scalars().all()
        if crowded:
            connection.execute(update(table).where(table.c.digest.in_(crowded)).values(revoked_at=now))
        values = {
            "digest": self._digest(user_id, found),
            "device_id": device_id,
            "user_id": user_id,
            "user_agent": user_agent[:256],
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + self.lifetime,
        }
        connection.execute(insert(table).values(values))
        entry = Entry(Event.DEVICE_TRUSTED, user_id=user_id, detail={"device": device_id})
        self._audit.record_in(connection, entry)

    @staticmethod
    def _usable(row: Any, user_agent: str, now: int) -> bool:
        return (
            row.revoked_at is None and row.expires_at > now and kind_of(row.user_agent) == kind_of(user_agent)
        )

    def _row_in(self, connection: Connection, user_id: str, found: _Cookie) -> Any:
        query = select(table).where(table.c.digest == self._digest(user_id, found))
        return connection.execute(query).one_or_none()

    def _digest(self, user_id: str, found: _Cookie) -> bytes:
        """The key of the row: a MAC that binds the cookie to the person."""
        key = self._master.derive(ROW_PURPOSE, found.kid)
        return crypto.mac(key, found.token.encode(), user_id.encode())

    def _cookie(self, found: _Cookie) -> str:
        return f"{found.kid}.{found.token}.{crypto.b64u(self._tag(found))}"

    def _tag(self, found: _Cookie) -> bytes:
        return crypto.mac(self._master.derive(TAG_PURPOSE, found.kid), found.token.encode())[:TAG_BYTES]

    def _parse(self, cookie: str) -> _Cookie | None:
        """What a cookie of this server holds; None for every other."""
        kid, _, rest = cookie[:MOST_LENGTH].partition(".")
        token, _, tag = rest.partition(".")
        if kid not in self._master.keys or len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        found = _Cookie(kid, token)
        try:
            return found if crypto.equal(crypto.b64u_decode(tag), self._tag(found)) else None
        except ValueError:
            return None


def _live(user_id: str) -> Any:
    return (table.c.user_id == user_id) & table.c.revoked_at.is_(None) & (table.c.expires_at > clock.now())
