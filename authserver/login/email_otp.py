"""One-time codes by mail or text message: they prove that somebody reads what is sent to an address.

They confirm a device that is new; they never raise an acr and never approve a payment
(NIST SP 800-63B-4 §3.1.3.1). A code counts once, for ten minutes, for one person and session, until the next
one follows. The person is reached where their record says, never where a request does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from .. import clock, crypto, metrics
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..mail import CODE_SECONDS, MAIL, SMS, Mail
from ..models.one_time_code import OneTimeCode
from ..throttle import Throttle
from ..users import Attempts, UserRecord, Users
from .limits import LoginLimits
from .mfa import Spent
from .session import Sessions
from .session_view import Proof, SessionView

table = table_of(OneTimeCode)

REASON = "email_otp"
# what a code is for; a row of any other purpose is none here
CONFIRM_DEVICE = "confirm_device"
DIGITS = 8
TRIES = 5
# ASVS 5.0 §6.6.4: so many in so many seconds for one person, over all sessions and channels
MOST, MOST_SECONDS = 5, 600


class Sent(StrEnum):
    """What came of a code that was asked for."""

    SENT = "sent"
    TOO_MANY = "too_many"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Rooms:
    """What codes need besides the database and the mails."""

    users: Users
    sessions: Sessions
    limits: LoginLimits
    throttle: Throttle
    audit: Audit


@dataclass(frozen=True, slots=True)
class _Judged:
    id: str
    user: UserRecord
    channel: str
    number: int


class EmailOtp:
    """Sends codes and judges them."""

    def __init__(self, database: Database, master: crypto.MasterKeys, mail: Mail, rooms: Rooms) -> None:
        self._database = database
        self._master = master
        self._mail = mail
        self._attempts = Attempts(database)
        self._users = rooms.users
        self._sessions = rooms.sessions
        self._limits = rooms.limits
        self._throttle = rooms.throttle
        self._audit = rooms.audit

    def channels(self, user: UserRecord) -> list[str]:
        """By which ways codes reach the person."""
        return [channel for channel in (MAIL, SMS) if self._mail.reaches(channel, user.email, user.phone)]

    def send(self, user: UserRecord, session_sid: str, channel: str = MAIL) -> Sent:
        """A new code is on its way, and those before it for the same session count no more."""
        code = f"{int.from_bytes(crypto.random_bytes(16)) % 10**DIGITS:0{DIGITS}}"
        if channel not in self.channels(user):
            return Sent.NOWHERE
        with self._database.writing() as connection:
            done = self._send_in(connection, user.user_id, session_sid, channel, code)
        if done is Sent.TOO_MANY:
            metrics.limited.labels(REASON).inc()
            if self._throttle.first(f"{REASON}/{user.user_id}", MOST_SECONDS):
                self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", REASON, user_id=user.user_id))
        return done

    def waiting(self, user: UserRecord, session_sid: str) -> bool:
        """Whether a code was sent that still counts."""
        query = select(table.c.id).where(_live(user.user_id, session_sid))
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def confirm_device(self, user: UserRecord, session: SessionView, code: str, address: str) -> str | None:
        """The cookie of the session as its device is confirmed by the code, which is spent; None if not.

        Each wrong code is an attempt at the person.
        """
        judged = self._judge(user, session.sid, code)
        if judged is None:
            return None
        try:
            with self._database.writing() as connection:
                self._spend_in(connection, judged)
                cookie = self._sessions.rise_in(connection, session, Proof("", (), confirms=True))
                if cookie is None:
                    raise Spent
                detail = {"purpose": CONFIRM_DEVICE, "channel": judged.channel}
                told = Entry(Event.MFA_SUCCEEDED, reason=REASON, user_id=user.user_id, detail=detail)
                self._audit.record_in(connection, told)
        except Spent:
            self._failed(user.user_id, 0)
            return None
        self._limits.succeeded(address)
        return cookie

    def _send_in(self, connection: Connection, user_id: str, sid: str, channel: str, code: str) -> Sent:
        # whoever asks beside us waits, so that nobody counts past the limit
        if not self._attempts.hold_in(connection, user_id):
            return Sent.NOWHERE
        now = clock.now()
        recent = (table.c.user_id == user_id) & (table.c.created_at > now - MOST_SECONDS)
        if connection.execute(select(func.count()).where(recent)).scalar_one() >= MOST:
            return Sent.TOO_MANY
        same = recent & (table.c.sid == sid) & (table.c.purpose == CONFIRM_DEVICE)
        tries = connection.execute(select(func.max(table.c.tries)).where(same)).scalar() or 0
        connection.execute(update(table).where(same, table.c.ended_at.is_(None)).values(ended_at=now))
        id_ = crypto.identifier()
        row = {
            "id": id_, "user_id": user_id, "sid": sid, "purpose": CONFIRM_DEVICE, "channel": channel,
            "mac": self._mac(self._master.active, id_, code), "tries": tries,
            "created_at": now, "expires_at": now + CODE_SECONDS,
        }  # fmt: skip
        connection.execute(insert(table).values(row))
        if channel == SMS:
            self._mail.text_in(connection, user_id, {"code": code})
        else:
            self._mail.queue_in(connection, user_id, "email_code", {"code": code})
        return Sent.SENT

    def _judge(self, user: UserRecord, sid: str, code: str) -> _Judged | None:
        """The right code as it may be spent. The try is counted at the person and at the code first."""
        number = self._attempts.reserve(user.user_id)
        tried = (
            update(table)
            .where(_live(user.user_id, sid), table.c.tries < TRIES)
            .values(tries=table.c.tries + 1)
            .returning(table.c.id, table.c.mac, table.c.channel)
        )
        with self._database.writing() as connection:
            row = connection.execute(tried).one_or_none()
        if number and row is not None and self._fits(row.id, row.mac, code):
            return _Judged(row.id, user, row.channel, number)
        self._failed(user.user_id, number)
        return None

    def _spend_in(self, connection: Connection, judged: _Judged) -> None:
        """The code is used, and the try at it does not count; Spent if it was used or followed meanwhile.

        It clears nothing else that counts against the person: who reads their mails has no more guesses.
        """
        if judged.channel == MAIL:
            self._users.prove_email_in(connection, judged.user)
        if not self._attempts.given_back_in(connection, judged.user.user_id, judged.number):
            raise Spent
        unused = (table.c.id == judged.id) & table.c.ended_at.is_(None)
        if connection.execute(update(table).where(unused).values(ended_at=clock.now())).rowcount != 1:
            raise Spent

    def _failed(self, user_id: str, number: int) -> None:
        self._limits.failed(Entry(Event.MFA_FAILED, "denied", REASON, user_id=user_id), number)

    def _fits(self, id_: str, mac: str, code: str) -> bool:
        kid = mac.partition(".")[0]
        typed = "".join(code.split())
        known = kid in self._master.keys
        return known and crypto.equal(self._mac(kid, id_, typed).encode(), mac.encode())

    def _mac(self, kid: str, id_: str, code: str) -> str:
        key = self._master.derive("one_time_code", kid)
        return f"{kid}.{crypto.b64u(crypto.mac(key, id_.encode(), code.encode('utf-8', 'surrogatepass')))}"


def _live(user_id: str, sid: str) -> ColumnElement[bool]:
    """The one code that counts."""
    return (
        (table.c.user_id == user_id)
        & (table.c.sid == sid)
        & (table.c.purpose == CONFIRM_DEVICE)
        & table.c.ended_at.is_(None)
        & (table.c.expires_at > clock.now())
    )
