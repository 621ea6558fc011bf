"""Asking for a new password: the same answer for the same work, whoever is asked for.

A request writes one row under a sealed name and nothing else; whether that is anybody's, a job finds out and
sends a link. So no answer, and no time that it takes, tells who has an account (ASVS 5.0 §6.3.8).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from .. import clock, crypto, metrics
from ..audit import Audit, Entry, Event
from ..audit.record import UNPROVED
from ..config import Settings
from ..db import Database, table_of
from ..errors import NotDone
from ..mail import MAIL, Mail
from ..models.user import ResetRequest, UserLink
from ..users import LINK_SECONDS, Links, UserRecord, Users
from .password_login import MAX_LOGIN_NAME

table = table_of(ResetRequest)
links = table_of(UserLink)

# a request that no job saw for so long is nobody's any more
KEPT_SECONDS = 1800
# links that one person gets while one of them may still work
MOST = 3
RUN_SECONDS = 6.0
REASON = "password_reset"


class ResetRequests:
    """Takes requests for new passwords, and answers them by mail."""

    def __init__(
        self, settings: Settings, database: Database, master: crypto.MasterKeys, mail: Mail, rooms: Rooms
    ) -> None:
        self._issuer = settings.issuer
        self._database = database
        self._master = master
        self._mail = mail
        self._users = rooms.users
        self._links = rooms.links
        self._audit = rooms.audit

    def ask(self, login_name: str) -> None:
        """The request is taken. What is entered as a name rests sealed and is in no log."""
        id_, now = crypto.identifier(), clock.now()
        # of one length: what is longer on disk would be longer in time
        name = login_name[:MAX_LOGIN_NAME].encode("utf-8", "replace").ljust(4 * MAX_LOGIN_NAME)
        row = {
            "id": id_,
            "sealed": self._master.seal(name, _place(id_)),
            "created_at": now,
            "expires_at": now + KEPT_SECONDS,
        }
        with self._database.writing() as connection:
            connection.execute(insert(table).values(row))
            self._audit.record_in(connection, Entry(Event.RESET_REQUESTED, actor=UNPROVED))

    def due(self) -> bool:
        """Whether a request waits."""
        with self._database.reading() as connection:
            return connection.execute(select(table.c.id).limit(1)).first() is not None

    def answer(self) -> int:
        """Requests have been answered, for ``RUN_SECONDS`` at most; gives how many links were made."""
        made, until = 0, clock.monotonic() + RUN_SECONDS
        while clock.monotonic() < until:
            with self._database.reading() as connection:
                row = connection.execute(select(table).order_by(table.c.created_at).limit(1)).one_or_none()
            if row is None:
                break
            with self._database.writing() as connection:
                mine = connection.execute(delete(table).where(table.c.id == row.id)).rowcount == 1
            if mine and row.expires_at > clock.now():
                made += self._answer(row.id, row.sealed)
        return made

    def _answer(self, id_: str, sealed: str) -> bool:
        """Whether a link is on its way."""
        try:
            name = self._master.open(sealed, _place(id_)).decode().rstrip(" ")
        except crypto.SealBroken:
            return False
        user = self._users.find(name)
        if user is None or not user.active or not self._mail.reaches(MAIL, user.email):
            return False
        if self._too_many(user):
            return False
        try:
            self._links.send(user.user_id, lambda token: f"{self._issuer}/enrol?token={token}")
        except NotDone:
            # disabled meanwhile
            return False
        return True

    def _too_many(self, user: UserRecord) -> bool:
        recent = (links.c.user_id == user.user_id) & (links.c.purpose == "reset")
        recent &= links.c.created_at > clock.now() - LINK_SECONDS["reset"]
        with self._database.reading() as connection:
            many = connection.execute(select(func.count()).where(recent)).scalar_one() >= MOST
        if many:
            metrics.limited.labels(REASON).inc()
            self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", REASON, user_id=user.user_id))
        return many


@dataclass(frozen=True)
class Rooms:
    """What requests need besides the database and the mails."""

    users: Users
    links: Links
    audit: Audit


def _place(id_: str) -> str:
    return f"reset_request.sealed.{id_}"
