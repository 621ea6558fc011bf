"""Sessions: server-side rows found by the digest of a cookie, renewed at every login."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..audit.record import Outcome
from ..config import Settings
from ..db import Database, table_of
from ..models.session import Session
from ..users import Users

sessions = table_of(Session)

# last_seen_at is as fresh as this, so that a session may end so much early, never late
TOUCH_SECONDS = 30
# what last_seen_at becomes when the end of a session was told: it is told once
TOLD = 0
COOKIE_LENGTH = 43

# What ends with a session, in the same transaction: (connection, sid, reason).
Ends = Callable[[Connection, str, str], None]


@dataclass(frozen=True)
class SessionView:
    """A live session. ``digest`` is that of its cookie; ``auth_time`` is when the person last proved it."""

    sid: str
    user_id: str
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    created_at: int
    last_seen_at: int
    client_ip: str
    user_agent: str
    digest: bytes


@dataclass(frozen=True)
class Login:
    """How a person has just proved who they are, and from where."""

    user_id: str
    acr: str
    amr: tuple[str, ...]
    client_ip: str
    user_agent: str


class Sessions:
    """Starts, reads and ends sessions."""

    def __init__(
        self, database: Database, users: Users, audit: Audit, settings: Settings, ends: Ends
    ) -> None:
        self._database = database
        self._users = users
        self._audit = audit
        self._ends = ends
        self._idle = settings.session_idle
        self._lifetime = settings.session_lifetime
        self._most = settings.sessions_per_user

    def start(
        self,
        user_id: str,
        *,
        acr: str,
        amr: tuple[str, ...],
        client_ip: str = "",
        user_agent: str = "",
        previous: str | None = None,
    ) -> str:
        """``start_in`` in a transaction of its own."""
        with self._database.writing() as connection:
            return self.start_in(connection, Login(user_id, acr, amr, client_ip, user_agent), previous)

    def start_in(self, connection: Connection, login: Login, previous: str | None = None) -> str:
        """The value of a new cookie. That of the ``previous`` session of this browser is worth nothing now.

        The same person logging in again keeps the session's ``sid``, under a new digest; another person's
        session ends. Beyond the limit of parallel sessions the oldest one ends.
        """
        cookie, now = crypto.random_token(), clock.now()
        values = {
            "digest": crypto.digest(cookie),
            "acr": login.acr,
            "amr": list(login.amr),
            "auth_time": now,
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + self._lifetime,
            "client_ip": login.client_ip,
            "user_agent": login.user_agent[:256],
        }
        replaced = self._previous_in(connection, previous)
        if replaced is not None and replaced["user_id"] == login.user_id:
            sid = replaced["sid"]
            connection.execute(update(sessions).where(sessions.c.sid == sid).values(values))
            self._audit.record_in(connection, _entry(Event.SESSION_ROTATED, login.user_id, sid))
            return cookie
        if replaced is not None:
            self._end_in(connection, sessions.c.sid == replaced["sid"], Event.SESSION_ROTATED, "other_user")
        self._make_room_in(connection, login.user_id, now)
        sid = crypto.random_token(128)
        connection.execute(insert(sessions).values(sid=sid, user_id=login.user_id, **values))
        self._audit.record_in(connection, _entry(Event.SESSION_CREATED, login.user_id, sid))
        return cookie

    def read(self, cookie: str | None, *, seen: bool = True) -> SessionView | None:
        """The live session of a cookie, ``seen`` now or not; None if there is none. Its end is told once."""
        if cookie is None or len(cookie) != COOKIE_LENGTH:
            return None
        with self._database.reading() as connection:
            query = select(sessions).where(sessions.c.digest == crypto.digest(cookie))
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        now = clock.now()
        if over := self._over(row, now):
            if row["last_seen_at"] != TOLD:
                self._tell_once(row["digest"], _entry(over[0], row["user_id"], row["sid"], over[1]))
            return None
        if seen and now - row["last_seen_at"] >= TOUCH_SECONDS:
            self._touch(row["digest"], now)
        return _view(row)

    def end(self, sid: str, reason: str, user_id: str | None = None) -> bool:
        """The session has ended, with what hangs on it; False if it had, or is not ``user_id``'s."""
        which = sessions.c.sid == sid
        if user_id is not None:
            which &= sessions.c.user_id == user_id
        event = Event.LOGOUT_DONE if reason == "logout" else Event.SESSION_REVOKED
        with self._database.writing() as connection:
            return self._end_in(connection, which, event, reason) > 0

    def end_all(self, user_id: str, reason: str) -> int:
        """Every session of a person has ended; gives how many."""
        with self._database.writing() as connection:
            return self.end_all_in(connection, user_id, reason)

    def end_all_in(self, connection: Connection, user_id: str, reason: str) -> int:
        """``end_all`` with the transaction of ``connection``."""
        return self._end_in(connection, sessions.c.user_id == user_id, Event.SESSION_REVOKED, reason)

    def list(self, user_id: str) -> list[SessionView]:
        """The live sessions of a person, the one seen last first."""
        now = clock.now()
        query = (
            select(sessions)
            .where(
                sessions.c.user_id == user_id,
                sessions.c.ended_at.is_(None),
                sessions.c.expires_at > now,
                sessions.c.last_seen_at > now - self._idle,
            )
            .order_by(sessions.c.last_seen_at.desc(), sessions.c.created_at.desc())
        )
        with self._database.reading() as connection:
            return [_view(row) for row in connection.execute(query).mappings()]

    def _over(self, row: Any, now: int) -> tuple[Event, str] | None:
        """Why the session is over, None while it lives."""
        user = self._users.get(row["user_id"])
        if user is None or not user.active:
            return Event.SESSION_REJECTED, "user_disabled"
        if row["ended_at"] is not None:
            return Event.SESSION_REJECTED, "ended"
        if row["expires_at"] <= now:
            return Event.SESSION_EXPIRED, "absolute"
        if row["last_seen_at"] + self._idle <= now:
            return Event.SESSION_EXPIRED, "idle"
        return None

    def _previous_in(self, connection: Connection, cookie: str | None) -> Any:
        """The row of this browser's session unless it was ended, locked. Idle ones are continued."""
        if cookie is None or len(cookie) != COOKIE_LENGTH:
            return None
        query = select(sessions).where(
            sessions.c.digest == crypto.digest(cookie), sessions.c.ended_at.is_(None)
        )
        return connection.execute(query.with_for_update()).mappings().one_or_none()

    def _make_room_in(self, connection: Connection, user_id: str, now: int) -> None:
        """Fewer than the limit are live. Their login holds the person's row: nobody counts beside us."""
        live = (
            select(sessions.c.sid)
            .where(
                sessions.c.user_id == user_id,
                sessions.c.ended_at.is_(None),
                sessions.c.expires_at > now,
                sessions.c.last_seen_at > now - self._idle,
            )
            .order_by(sessions.c.last_seen_at.desc(), sessions.c.created_at.desc())
            .offset(self._most - 1)
        )
        crowded = list(connection.execute(live).scalars())
        if crowded:
            self._end_in(connection, sessions.c.sid.in_(crowded), Event.SESSION_LIMIT, "oldest_ended")

    def _end_in(self, connection: Connection, which: Any, event: Event, reason: str) -> int:
        ended = (
            update(sessions)
            .where(which, sessions.c.ended_at.is_(None))
            .values(ended_at=clock.now())
            .returning(sessions.c.sid, sessions.c.user_id)
        )
        rows = connection.execute(ended).all()
        for row in rows:
            self._ends(connection, row.sid, reason)
            self._audit.record_in(connection, _entry(event, row.user_id, row.sid, reason))
        return len(rows)

    def _touch(self, digest: bytes, now: int) -> None:
        """The session was seen now; not one that ended, or was told to be over, meanwhile."""
        live = (
            (sessions.c.digest == digest) & sessions.c.ended_at.is_(None) & (sessions.c.last_seen_at > TOLD)
        )
        with self._database.writing() as connection:
            connection.execute(update(sessions).where(live).values(last_seen_at=now))

    def _tell_once(self, digest: bytes, entry: Entry) -> None:
        untold = (sessions.c.digest == digest) & (sessions.c.last_seen_at > TOLD)
        with self._database.writing() as connection:
            if connection.execute(update(sessions).where(untold).values(last_seen_at=TOLD)).rowcount == 1:
                self._audit.record_in(connection, entry)


def _view(row: Any) -> SessionView:
    names = ("sid", "user_id", "acr", "auth_time", "created_at", "last_seen_at", "client_ip", "user_agent")
    return SessionView(amr=tuple(row["amr"]), digest=row["digest"], **{name: row[name] for name in names})


def _entry(event: Event, user_id: str, sid: str, reason: str = "") -> Entry:
    outcome: Outcome = "denied" if event in (Event.SESSION_EXPIRED, Event.SESSION_REJECTED) else "succeeded"
    return Entry(event, outcome, reason, user_id=user_id, session_id=sid)
