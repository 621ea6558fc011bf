"""Erasing a person: at their wish after a wait in which they can think better of it, or by an operator.

What names them goes, the row of the person says nothing any more, and the key is destroyed under which the
audit log holds their addresses and devices. Payments and their evidence stay for their time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import Connection, case, delete, select, update

from .. import clock
from ..audit import Audit, Entry, Event, PersonKeys
from ..cache import Versions, raise_version
from ..db import Database, insert_once, table_of
from ..errors import NotDone
from ..login import Mfa, SessionView, fresh_for
from ..models.authorization import Authorization
from ..models.person import ErasureRequest
from ..models.user import User
from ..users import ERASED, Attempts, Links, normalise
from ..users.registry import NO_SUCH_USER
from .tables import named

log = logging.getLogger(__name__)

WAIT_SECONDS = 7 * 86_400
requests = table_of(ErasureRequest)
users = table_of(User)
authorizations = table_of(Authorization)


class Tell(Protocol):
    """Queues a mail to a person, or to the address that they had, with the transaction."""

    def __call__(
        self,
        connection: Connection,
        recipient: str,
        template: str,
        values: Mapping[str, Any] | None = None,
        locale: str = "",
    ) -> bool: ...


@dataclass(frozen=True)
class Rooms:
    """What ends with a person, and who is told of it."""

    audit: Audit
    people: PersonKeys
    mfa: Mfa
    tell: Tell
    ends: Callable[[Connection, str, str], None]


class Erasure:
    """Takes wishes to be erased, and erases."""

    def __init__(self, database: Database, versions: Versions, rooms: Rooms) -> None:
        self._database = database
        self._versions = versions
        self._audit = rooms.audit
        self._people = rooms.people
        self._mfa = rooms.mfa
        self._tell = rooms.tell
        self._ends = rooms.ends

    def due_at(self, user_id: str) -> int | None:
        """When the person will be erased; None if they do not want to be."""
        with self._database.reading() as connection:
            query = select(requests.c.due_at).where(requests.c.user_id == user_id)
            return connection.execute(query).scalar()

    def request(self, session: SessionView) -> bool:
        """The person is erased after ``WAIT_SECONDS``, and is told so by mail; False if not fresh."""
        user_id, now = session.user_id, clock.now()
        if not fresh_for("erasure", session, self._mfa, self._audit):
            return False
        due_at = now + WAIT_SECONDS
        values = {"user_id": user_id, "requested_at": now, "due_at": due_at}
        with self._database.writing() as connection:
            if not Attempts(self._database).hold_in(connection, user_id):
                return False
            if insert_once(connection, ErasureRequest, values):
                self._audit.record_in(connection, Entry(Event.USER_ERASURE_REQUESTED, user_id=user_id))
                self._tell_in(connection, user_id, due_at)
        return True

    def cancel(self, user_id: str) -> bool:
        """The person stays; False if nothing else was going to happen."""
        with self._database.writing() as connection:
            gone = connection.execute(delete(requests).where(requests.c.user_id == user_id)).rowcount == 1
            if gone:
                self._audit.record_in(connection, Entry(Event.USER_ERASURE_CANCELLED, user_id=user_id))
                self._tell(connection, user_id, "erasure_cancelled")
        return gone

    def wait_anew(self, user_id: str) -> None:
        """Whoever wanted to be erased has the whole wait once more, and is told so by mail.

        For who was disabled meanwhile: they could not think better of it, nor say that it was not they.
        """
        due_at = clock.now() + WAIT_SECONDS
        sooner = (requests.c.user_id == user_id) & (requests.c.due_at < due_at)
        with self._database.writing() as connection:
            if connection.execute(update(requests).where(sooner).values(due_at=due_at)).rowcount == 1:
                self._tell_in(connection, user_id, due_at)

    def due(self) -> bool:
        """Whether somebody's wait is over."""
        with self._database.reading() as connection:
            return connection.execute(self._waited().limit(1)).first() is not None

    def carry_out(self) -> int:
        """Everybody whose wait is over is erased, one transaction each; gives how many."""
        with self._database.reading() as connection:
            waited = connection.execute(self._waited()).scalars().all()
        count = 0
        for user_id in waited:
            with self._database.writing() as connection:
                # a cancellation that came meanwhile has taken the row, and whom an operator disabled waits
                active = select(users.c.user_id).where(users.c.user_id == user_id, users.c.state == "active")
                mine = requests.c.user_id.in_(active) & (requests.c.due_at <= clock.now())
                if connection.execute(delete(requests).where(mine)).rowcount == 1:
                    self._erase_in(connection, user_id, "by_user")
                    count += 1
        self._versions.forget()
        return count

    def erase(self, user_id: str) -> None:
        """The person is erased at once, by an operator; NotDone if there is no such person."""
        with self._database.writing() as connection:
            self._erase_in(connection, user_id, "by_operator")
        self._versions.forget()

    def _tell_in(self, connection: Connection, user_id: str, due_at: int) -> None:
        date = datetime.fromtimestamp(due_at, UTC).date().isoformat()
        self._tell(connection, user_id, "erasure_requested", {"date": date})

    @staticmethod
    def _waited() -> Any:
        # whom an operator has disabled waits: there may be something to be found out first
        active = (users.c.user_id == requests.c.user_id) & (users.c.state == "active")
        return select(requests.c.user_id).join(users, active).where(requests.c.due_at <= clock.now())

    def _erase_in(self, connection: Connection, user_id: str, reason: str) -> None:
        # links first, as where one is used: two who wait for both must not hold one each
        Links.end_in(connection, user_id)
        version = raise_version(connection, "users")
        query = select(users).where(users.c.user_id == user_id, users.c.state != ERASED)
        person = connection.execute(query.with_for_update()).mappings().one_or_none()
        if person is None:
            raise NotDone(NO_SUCH_USER)
        self._ends(connection, user_id, "erased")
        mine = authorizations.c.user_id == user_id
        now = clock.now()
        # what is no payment has no time of its own: the next purge takes it, after its last token
        over = case((authorizations.c.expires_at < now, authorizations.c.expires_at), else_=now)
        until = case((authorizations.c.pays, authorizations.c.expires_at), else_=over)
        connection.execute(update(authorizations).where(mine).values(grant_id=None, expires_at=until))
        for table in named("removed"):
            connection.execute(delete(table).where(table.c.user_id == user_id))
        nobody = _nobody(user_id) | {"version": version}
        connection.execute(update(users).where(users.c.user_id == user_id).values(nobody))
        self._audit.record_in(connection, Entry(Event.USER_ERASED, reason=reason, user_id=user_id))
        self._people.destroy_in(connection, user_id)
        if person["email"]:
            # to an address that is nobody's here any more
            self._tell(connection, person["email"], "account_erased", {}, person["language"])


def _nobody(user_id: str) -> dict[str, Any]:
    """A row that says of no one who they were."""
    return {
        # in the form that lookups use
        "username": normalise(f"{ERASED}-{user_id}"),
        "email": None,
        "name": ERASED,
        "state": ERASED,
        "groups": [],
        "password_hash": None,
        "password_changed_at": None,
        "last_used_at": None,
        "failures": 0,
        "locked_until": None,
        "locked_told": None,
        "email_verified_at": None,
        "phone": None,
        "language": "",
    }
