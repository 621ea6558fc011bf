"""Devices that a person is known by: a signed cookie in the browser, in it a token for each who uses it.

Each person's token is made when they first sign in there: by what somebody else left in the browser, and kept
a copy of, they are never known. The cookie proves nothing about who sits there: it spares questions that a
strange device would raise, and never one that policy asks. A payment may be spared its factor where, besides
much else, the device is known for a while (``known_since_in``). It is dead after a new
password, once it was revoked, with any bit changed, for another person, and in a browser of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence
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
MOST_LENGTH = 1000
DAY = 86_400
# of one person; the one seen longest ago makes room
MOST = 30
# in one browser; the one who was there longest ago makes room
MOST_PEOPLE = 4


@dataclass(frozen=True, slots=True)
class Device:
    """A known device as lists show it; ``device_id`` names it in forms and opens nothing."""

    device_id: str
    user_agent: str
    created_at: int
    last_seen_at: int
    here: bool


@dataclass(frozen=True, slots=True)
class _Token:
    kid: str
    value: str


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
        tokens = self._parse(cookie)
        if not tokens:
            return "mismatch"
        with self._database.reading() as connection:
            rows = self._rows_in(connection, user_id, tokens)
        row = next(iter(rows.values()), None)
        if row is None or row.revoked_at is not None:
            return "mismatch"
        if row.expires_at <= clock.now():
            return "none"
        return "known" if kind_of(row.user_agent) == kind_of(user_agent) else "mismatch"

    def known_since_in(
        self, connection: Connection, user_id: str, cookie: str | None, user_agent: str
    ) -> int | None:
        """When the person's device became known, as this transaction sees it; None if it is not."""
        tokens, now = self._parse(cookie or ""), clock.now()
        rows = self._rows_in(connection, user_id, tokens).values() if tokens else ()
        return next((row.created_at for row in rows if self._usable(row, user_agent, now)), None)

    def remember_in(self, connection: Connection, user_id: str, cookie: str | None, user_agent: str) -> str:
        """The cookie by which the browser is known for the person from now on, and still for others there."""
        now, tokens = clock.now(), self._parse(cookie or "")
        rows = self._rows_in(connection, user_id, tokens) if tokens else {}
        others = [token for token in tokens if token not in rows]
        for token, row in rows.items():
            if not self._usable(row, user_agent, now):
                continue
            same = (table.c.digest == row.digest) & table.c.revoked_at.is_(None)
            values = {"last_seen_at": now, "expires_at": now + self.lifetime, "user_agent": user_agent[:256]}
            if connection.execute(update(table).where(same).values(values)).rowcount == 1:
                return self._cookie([token, *others])
        token = _Token(self._master.active, crypto.random_token())
        self._add_in(connection, user_id, token, user_agent)
        return self._cookie([token, *others])

    def list(self, user_id: str, cookie: str | None) -> list[Device]:
        """The devices that the person is known by, the one seen last first."""
        here = [self._digest(user_id, token) for token in self._parse(cookie or "")]
        with self._database.reading() as connection:
            query = select(table).where(_live(user_id)).order_by(table.c.last_seen_at.desc()).limit(MOST)
            rows = connection.execute(query).all()
        return [
            Device(row.device_id, row.user_agent, row.created_at, row.last_seen_at, row.digest in here)
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

    def _add_in(self, connection: Connection, user_id: str, token: _Token, user_agent: str) -> None:
        now, device_id = clock.now(), crypto.identifier()
        seen = select(table.c.digest).where(_live(user_id)).order_by(table.c.last_seen_at.desc())
        # SQLite has no OFFSET without LIMIT
        crowded = connection.execute(seen.offset(MOST - 1).limit(MOST)).scalars().all()
        if crowded:
            connection.execute(update(table).where(table.c.digest.in_(crowded)).values(revoked_at=now))
        values = {
            "digest": self._digest(user_id, token),
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

    def _rows_in(self, connection: Connection, user_id: str, tokens: Sequence[_Token]) -> dict[_Token, Any]:
        """The person's rows for these tokens, those that were not revoked first."""
        named = {self._digest(user_id, token): token for token in tokens}
        query = select(table).where(table.c.digest.in_(named))
        rows = connection.execute(query).all()
        return {named[row.digest]: row for row in sorted(rows, key=lambda row: row.revoked_at is not None)}

    def _digest(self, user_id: str, token: _Token) -> bytes:
        """The key of the row: a MAC that binds the token to the person."""
        key = self._master.derive(ROW_PURPOSE, token.kid)
        return crypto.mac(key, token.value.encode(), user_id.encode())

    def _cookie(self, tokens: Sequence[_Token]) -> str:
        signed = (f"{token.kid}.{token.value}.{crypto.b64u(self._tag(token))}" for token in tokens)
        return "~".join(list(signed)[:MOST_PEOPLE])

    def _tag(self, token: _Token) -> bytes:
        return crypto.mac(self._master.derive(TAG_PURPOSE, token.kid), token.value.encode())[:TAG_BYTES]

    def _parse(self, cookie: str) -> Sequence[_Token]:
        """The tokens of this server that a cookie holds; none if any of them was changed.

        One under a master key that was taken away says nothing of the others.
        """
        parts = cookie[:MOST_LENGTH].split("~")[:MOST_PEOPLE]
        tokens = [self._token(one) for one in parts if one.partition(".")[0] in self._master.keys]
        return [token for token in tokens if token is not None] if None not in tokens else []

    def _token(self, text: str) -> _Token | None:
        kid, _, rest = text.partition(".")
        value, _, tag = rest.partition(".")
        if len(value) != TOKEN_LENGTH or not value.isascii():
            return None
        token = _Token(kid, value)
        try:
            return token if crypto.equal(crypto.b64u_decode(tag), self._tag(token)) else None
        except ValueError:
            return None


def _live(user_id: str) -> Any:
    return (table.c.user_id == user_id) & table.c.revoked_at.is_(None) & (table.c.expires_at > clock.now())
