"""Another e-mail address: it counts once a link that was mailed there is opened by the person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..cache import Versions
from ..db import Database, insert_once, table_of
from ..errors import Invalid, NotDone
from ..models.person import EmailChange as Row
from ..models.user import User
from ..users import Contacts
from ..users.record import email_of
from .freshness import fresh_for
from .mfa import Mfa
from .session import Sessions
from .session_view import SessionView

table = table_of(Row)
users = table_of(User)

LINK_SECONDS = 1800
# nobody makes this server write to others more often than that
PAUSE_SECONDS = 60


@dataclass(frozen=True)
class Rooms:
    """What a change of address needs besides people: ``issuer`` is where the link leads."""

    audit: Audit
    mfa: Mfa
    sessions: Sessions
    contacts: Contacts
    # a message in the transaction; ``...``: as ``Mail.queue_in``, which may be told a language
    tell: Callable[..., object]
    issuer: str


class EmailChanges:
    """Asks a new address whether it is the person's, and then puts it in the place of the old one."""

    def __init__(self, database: Database, versions: Versions, rooms: Rooms) -> None:
        self._database = database
        self._versions = versions
        self._audit = rooms.audit
        self._mfa = rooms.mfa
        self._sessions = rooms.sessions
        self._contacts = rooms.contacts
        self._tell = rooms.tell
        self._issuer = rooms.issuer

    def request(self, session: SessionView, text: str) -> str:
        """A link is on its way to the address ``text``; an earlier one no longer works.

        Gives why not: session_stale, address if it is none, too_soon after the last one; empty if it is.
        Nobody is told whether somebody else has the address: then no link is sent.
        """
        if not fresh_for("email", session, self._mfa, self._audit):
            return "session_stale"
        try:
            email = email_of(text)
        except Invalid:
            return "address"
        token, now = crypto.random_token(), clock.now()
        values = {
            "user_id": session.user_id,
            "digest": crypto.digest(token),
            "email": email,
            "created_at": now,
            "expires_at": now + LINK_SECONDS,
        }
        mine = table.c.user_id == session.user_id
        with self._database.writing() as connection:
            connection.execute(delete(table).where(mine, table.c.created_at <= now - PAUSE_SECONDS))
            if not insert_once(connection, Row, values):
                return "too_soon"
            self._audit.record_in(connection, Entry(Event.USER_EMAIL_REQUESTED, user_id=session.user_id))
            if not _taken(connection, email):
                link = f"{self._issuer}/account/email/confirm?token={token}"
                # the address is nobody's yet: whose language it is, only we know
                mine = users.c.user_id == session.user_id
                language = connection.execute(select(users.c.language).where(mine)).scalar()
                self._tell(connection, email, "email_confirm", {"link": link}, language or "")
        return ""

    def waiting(self, user_id: str, token: str = "") -> str | None:
        """The address that waits for its link, or, if there is a ``token``, for this one; None without."""
        query = select(table.c.email).where(table.c.user_id == user_id, table.c.expires_at > clock.now())
        if token:
            query = query.where(table.c.digest == crypto.digest(token))
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def confirm(self, session: SessionView, token: str, *, elsewhere: bool) -> bool:
        """The address is the person's, who hears of it at the old one; False if the link is over.

        Only who asked for it can have it. Sessions ``elsewhere`` have ended if so wished.
        """
        user_id = session.user_id
        mine = (table.c.user_id == user_id) & (table.c.digest == crypto.digest(token))
        mine &= table.c.expires_at > clock.now()
        try:
            with self._database.writing() as connection:
                email = connection.execute(select(table.c.email).where(mine)).scalar()
                if email is None:
                    return False
                self._contacts.set_email_in(connection, user_id, email)
                # spent after the person is held, as where they are erased: two must not hold one each
                if connection.execute(delete(table).where(mine)).rowcount != 1:
                    raise NotDone("The link was used, or is over.")
                proved = update(users).where(users.c.user_id == user_id).values(email_verified_at=clock.now())
                connection.execute(proved)
        except NotDone:
            # somebody else has it by now, or the link was used beside us
            return False
        self._versions.forget()
        if elsewhere:
            for other in self._sessions.list(user_id):
                if other.sid != session.sid:
                    self._sessions.end(other.sid, "by_user", user_id)
        return True


def _taken(connection: Connection, email: str) -> bool:
    return connection.execute(select(users.c.user_id).where(users.c.email == email)).first() is not None
