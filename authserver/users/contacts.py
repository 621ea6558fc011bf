"""Where people are reached: a change ends what was sent to the place before, and is told there."""

from __future__ import annotations

from sqlalchemy import Column, Connection, delete, select, update

from .. import clock
from ..audit import Audit, Entry, Event
from ..cache import Versions, raise_version
from ..db import Database, table_of
from ..errors import NotDone
from ..mail import Mail
from ..models.one_time_code import OneTimeCode
from ..models.outbox import Outbox
from ..models.user import User
from .links import Links
from .record import email_of, phone_of
from .registry import NO_SUCH_USER

users = table_of(User)
codes = table_of(OneTimeCode)
outbox = table_of(Outbox)

# messages that give something to whoever reads them
SECRETS = ("email_code", "text_code", "reset_link")


class Contacts:
    """Changes the addresses of people."""

    def __init__(self, database: Database, versions: Versions, audit: Audit, mail: Mail) -> None:
        self._database = database
        self._versions = versions
        self._audit = audit
        self._mail = mail

    def set_email(self, user_id: str, email: str) -> None:
        """``set_email_in`` in a transaction of its own."""
        with self._database.writing() as connection:
            self.set_email_in(connection, user_id, email)
        self._versions.forget()

    def set_email_in(self, connection: Connection, user_id: str, email: str) -> None:
        """Mails go to ``email`` from now on, unproved; the address before is told. Invalid if it is none.

        No code and no link that was sent, or still waits to be, counts any more.
        """
        address = email_of(email)
        # first, as where a link is used
        Links.end_in(connection, user_id)
        version = raise_version(connection, "users")
        taken = (users.c.email == address) & (users.c.user_id != user_id)
        if connection.execute(select(users.c.user_id).where(taken)).first() is not None:
            raise NotDone("There is a user of this e-mail address already.")
        before = self._before_in(connection, user_id, users.c.email)
        if before == address:
            return
        if before:
            self._mail.queue_in(connection, before, "email_changed")
        values = {"email": address, "email_verified_at": None, "version": version}
        connection.execute(update(users).where(users.c.user_id == user_id).values(values))
        self._void_in(connection, user_id)
        self._audit.record_in(connection, Entry(Event.USER_EMAIL_CHANGED, user_id=user_id))

    def set_phone(self, user_id: str, phone: str | None) -> None:
        """Text messages go to this number from now on, or nowhere; Invalid if it can be none."""
        number = None if phone is None else phone_of(phone)
        with self._database.writing() as connection:
            Links.end_in(connection, user_id)
            version = raise_version(connection, "users")
            self._before_in(connection, user_id, users.c.phone)
            values = {"phone": number, "version": version}
            connection.execute(update(users).where(users.c.user_id == user_id).values(values))
            self._void_in(connection, user_id)
            self._audit.record_in(connection, Entry(Event.USER_PHONE_CHANGED, user_id=user_id))
        self._versions.forget()

    @staticmethod
    def _before_in(connection: Connection, user_id: str, column: Column[str | None]) -> str | None:
        query = select(column).where(users.c.user_id == user_id).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotDone(NO_SUCH_USER)
        return row[0]

    @staticmethod
    def _void_in(connection: Connection, user_id: str) -> None:
        live = (codes.c.user_id == user_id) & codes.c.ended_at.is_(None)
        connection.execute(update(codes).where(live).values(ended_at=clock.now()))
        waiting = (outbox.c.user_id == user_id) & outbox.c.template.in_(SECRETS)
        connection.execute(delete(outbox).where(waiting))
