"""Sessions: server-side rows found by the digest of a cookie, renewed at every login."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from sqlalchemy import ColumnElement, Connection, insert, select, update

from .. import acr, clock, crypto
from ..audit import Audit, Entry, Event
from ..audit.record import Outcome
from ..config import Settings
from ..db import Database, table_of
from ..models.session import Session
from ..users import Users
from .session_list import NO_LIMIT, Part, complete, listed, seen
from .session_view import Login, Proof, SessionView, view_of
from .staff import Staff

sessions = table_of(Session)

# last_seen_at is as fresh as this, so that a session may end so much early, never late
TOUCH_SECONDS = 30
# what last_seen_at becomes when the end of a session was told: it is told once
TOLD = 0
COOKIE_LENGTH = 43
# a session that goes on after its own person's login
SAME_PERSON = ""
# why a person signs out: on this server's own page, or sent by a client
LOGOUTS = ("logout", "rp_initiated")

# What ends with sessions, in the same transaction and all at once, so that locks are taken in one order:
# (connection, the reason of each sid).
Ends = Callable[[Connection, Mapping[str, str]], None]


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
        self._staff = Staff(settings)

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
            "demand": login.demand,
            "confirm": login.confirm,
            "change_password": login.change_password,
            "auth_time": login.auth_time or now,
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + self._lifetime,
            "client_ip": login.client_ip,
            "user_agent": login.user_agent[:256],
        }
        found = self._in_the_way_in(connection, previous, login.user_id, now)
        for sid, (_, reason) in found.items():
            if reason == SAME_PERSON:
                connection.execute(update(sessions).where(sessions.c.sid == sid).values(values))
                self._audit.record_in(connection, _entry(Event.SESSION_ROTATED, login.user_id, sid))
                return cookie
        self._end_held_in(connection, found)
        sid = crypto.random_token(128)
        connection.execute(insert(sessions).values(sid=sid, user_id=login.user_id, **values))
        self._audit.record_in(connection, _entry(Event.SESSION_CREATED, login.user_id, sid))
        return cookie

    def rise_in(self, connection: Connection, session: SessionView, proof: Proof) -> str | None:
        """The value of a new cookie: the same session with what ``proof`` adds; the old one is worth nothing.

        None if the session has ended, or was renewed, since it was read.
        """
        cookie, now = crypto.random_token(), clock.now()
        values: dict[str, Any] = {
            "digest": crypto.digest(cookie),
            "acr": acr.highest(session.acr, proof.acr),
            "amr": list(dict.fromkeys((*session.amr, *proof.amr))),
            "last_seen_at": now,
        }
        values |= {"auth_time": now} if proof.whole else {}
        values |= {"confirm": False} if proof.confirms else {}
        same = (sessions.c.digest == session.digest) & sessions.c.ended_at.is_(None)
        if connection.execute(update(sessions).where(same).values(values)).rowcount != 1:
            return None
        self._audit.record_in(connection, _entry(Event.SESSION_ROTATED, session.user_id, session.sid))
        return cookie

    @staticmethod
    def hold_in(connection: Connection, session: SessionView) -> bool:
        """This transaction holds the session; False if it has ended, or was renewed, since it was read."""
        same = (sessions.c.digest == session.digest) & sessions.c.ended_at.is_(None)
        held = update(sessions).where(same).values(last_seen_at=sessions.c.last_seen_at)
        return connection.execute(held).rowcount == 1

    @staticmethod
    def sid_in(connection: Connection, cookie: str) -> str:
        """The ``sid`` of a session that this transaction has just started."""
        query = select(sessions.c.sid).where(sessions.c.digest == crypto.digest(cookie))
        return str(connection.execute(query).scalar_one())

    def read(self, cookie: str | None, *, seen: bool = True) -> SessionView | None:
        """The live session of a cookie, ``seen`` now or not; None if there is none. Its end is told once."""
        if not _could_be(cookie):
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
        return view_of(row)

    def held(self, cookie: str | None) -> tuple[str, str] | None:
        """``sid`` and user id of this browser's session unless it was ended, also when it is idle too long.

        An idle session reads nobody's pages, but what was opened from it still ends with it.
        """
        if not _could_be(cookie):
            return None
        query = select(sessions.c.sid, sessions.c.user_id).where(
            sessions.c.digest == crypto.digest(cookie), sessions.c.ended_at.is_(None)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.sid, row.user_id)

    def owner(self, cookie: str | None) -> str | None:
        """The user id of the session that this cookie is of, or was of when it ended."""
        if not _could_be(cookie):
            return None
        query = select(sessions.c.user_id).where(sessions.c.digest == crypto.digest(cookie))
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def end(self, sid: str, reason: str, user_id: str | None = None) -> bool:
        """The session has ended, with what hangs on it; False if it had, or is not ``user_id``'s."""
        which = sessions.c.sid == sid
        if user_id is not None:
            which &= sessions.c.user_id == user_id
        event = Event.LOGOUT_DONE if reason in LOGOUTS else Event.SESSION_REVOKED
        with self._database.writing() as connection:
            return self._end_in(connection, which, event, reason) > 0

    def end_all(self, user_id: str, reason: str) -> int:
        """Every session of a person has ended, idle ones too; gives how many."""
        with self._database.writing() as connection:
            return self.end_all_in(connection, user_id, reason)

    def end_all_in(self, connection: Connection, user_id: str, reason: str) -> int:
        """``end_all`` with the transaction of ``connection``."""
        return self._end_in(connection, sessions.c.user_id == user_id, Event.SESSION_REVOKED, reason)

    def hold_all_in(self, connection: Connection, user_id: str) -> None:
        """No session of the person changes, and none gives anything, before this transaction ends."""
        self._hold_in(connection, sessions.c.user_id == user_id)

    def list(self, user_id: str, first: int = 0, most: int = NO_LIMIT, own: str = "") -> list[SessionView]:
        """The sessions that a person can end: live ones, and idle ones that still carry authorizations.

        ``most`` of them, from the one at ``first`` on: that of the sid ``own``, then the one seen last, …
        """
        return listed(self._database, user_id, self._idle, Part(first, most, own))

    def _over(self, row: Any, now: int) -> tuple[Event, str] | None:
        """Why the session is over, None while it lives."""
        user = self._users.get(row["user_id"])
        if user is None or not user.active:
            return Event.SESSION_REJECTED, "user_disabled"
        if row["ended_at"] is not None:
            return Event.SESSION_REJECTED, "ended"
        if row["expires_at"] <= now:
            return Event.SESSION_EXPIRED, "absolute"
        if row["last_seen_at"] + self._staff.idle(user.groups, self._idle) <= now:
            return Event.SESSION_EXPIRED, "idle"
        return None

    def _in_the_way_in(
        self, connection: Connection, cookie: str | None, user_id: str, now: int
    ) -> dict[str, tuple[Event, str]]:
        """Why a session cannot stay as it is when the person logs in, by sid; these are locked.

        It is this browser's unless it was ended (idle ones are continued), or one too many. The login holds
        the person's row: nobody counts beside us.
        """
        mine = sessions.c.digest == crypto.digest(cookie if _could_be(cookie) else "")
        crowded = (
            select(sessions.c.sid)
            .where(seen(user_id, now, self._idle))
            # those that wait for a second factor make room first: a password alone ends nobody's session
            .order_by(complete().desc(), sessions.c.last_seen_at.desc(), sessions.c.created_at.desc())
            .offset(self._most - 1)
            # SQLite has no OFFSET without it
            .limit(NO_LIMIT)
        )
        held = self._hold_in(connection, mine | sessions.c.sid.in_(crowded), mine.label("mine"))
        found = {}
        for row in held:
            if not row.mine:
                found[row.sid] = (Event.SESSION_LIMIT, "oldest_ended")
            else:
                reason = SAME_PERSON if row.user_id == user_id else "other_user"
                found[row.sid] = (Event.SESSION_ROTATED, reason)
        return found

    @staticmethod
    def _hold_in(connection: Connection, which: ColumnElement[bool], *more: Any) -> Sequence[Any]:
        """``sid`` and ``user_id`` of those that were not ended, locked in one order for all."""
        query = select(sessions.c.sid, sessions.c.user_id, *more).where(which, sessions.c.ended_at.is_(None))
        return connection.execute(query.order_by(sessions.c.sid).with_for_update(of=sessions)).all()

    def _end_in(self, connection: Connection, which: ColumnElement[bool], event: Event, reason: str) -> int:
        held = self._hold_in(connection, which)
        self._end_held_in(connection, {row.sid: (event, reason) for row in held})
        return len(held)

    def _end_held_in(self, connection: Connection, why: Mapping[str, tuple[Event, str]]) -> None:
        """Sessions that this transaction holds have ended, each for its reason, with what hangs on them."""
        if not why:
            return
        ended = (
            update(sessions)
            .where(sessions.c.sid.in_(why))
            .values(ended_at=clock.now())
            .returning(sessions.c.sid, sessions.c.user_id)
        )
        rows = connection.execute(ended).all()
        self._ends(connection, {sid: reason for sid, (_, reason) in why.items()})
        for row in rows:
            event, reason = why[row.sid]
            self._audit.record_in(connection, _entry(event, row.user_id, row.sid, reason))

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


def _could_be(cookie: str | None) -> TypeGuard[str]:
    return cookie is not None and len(cookie) == COOKIE_LENGTH


def _entry(event: Event, user_id: str, sid: str, reason: str = "") -> Entry:
    outcome: Outcome = "denied" if event in (Event.SESSION_EXPIRED, Event.SESSION_REJECTED) else "succeeded"
    return Entry(event, outcome, reason, user_id=user_id, session_id=sid)
