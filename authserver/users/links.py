"""Single-use links: ``enrol`` for a new account, ``reset`` for a lost password. Digests rest, never links."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..cache import Versions
from ..db import Database, table_of
from ..errors import NotDone
from ..mail import Mail
from ..models.user import User, UserLink
from .record import UserRecord
from .registry import Users

links = table_of(UserLink)
users = table_of(User)

LINK_SECONDS = {"enrol": 7 * 86_400, "reset": 1800}
# who may have which link
STATES = {"enrol": "invited", "reset": "active"}


class Links:
    """Makes links and takes each once."""

    def __init__(
        self, database: Database, versions: Versions, users: Users, audit: Audit, mail: Mail
    ) -> None:
        self._mail = mail
        self._database = database
        self._versions = versions
        self._users = users
        self._audit = audit

    def make(self, user_id: str, purpose: str) -> str:
        """A new link's token, shown only now; earlier ones of the person no longer work."""
        user = self._users.must(user_id)
        if user.state != STATES[purpose]:
            raise NotDone(
                f"This user is {user.state}; the {purpose} link is for one who is {STATES[purpose]}."
            )
        with self._database.writing() as connection:
            return self._make_in(connection, user_id, purpose)

    def send(self, user_id: str, address_of: Callable[[str], str]) -> None:
        """A link for a new password is on its way by mail, under the address of its token."""
        if self._users.must(user_id).state != STATES["reset"]:
            raise NotDone("This user cannot have a new password now.")
        with self._database.writing() as connection:
            token = self._make_in(connection, user_id, "reset")
            self._mail.queue_in(connection, user_id, "reset_link", {"link": address_of(token)})

    def _make_in(self, connection: Connection, user_id: str, purpose: str) -> str:
        token, now = crypto.random_token(), clock.now()
        values = {
            "digest": crypto.digest(token),
            "user_id": user_id,
            "purpose": purpose,
            "created_at": now,
            "expires_at": now + LINK_SECONDS[purpose],
        }
        self.end_in(connection, user_id)
        connection.execute(insert(links).values(values))
        self._audit.record_in(connection, Entry(Event.USER_LINK_MADE, reason=purpose, user_id=user_id))
        return token

    def look(self, token: str) -> UserRecord | None:
        """Whose link this is, unspent and in time; nothing changes."""
        query = (
            select(users)
            .join_from(links, users)
            .where(
                links.c.digest == crypto.digest(token),
                links.c.used_at.is_(None),
                links.c.expires_at > clock.now(),
                users.c.state != "disabled",
            )
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else UserRecord.of(row)

    def redeem(self, token: str, password_hash: str, *, unlocks: bool = True) -> str | None:
        """The user id of whoever now has this password; None if the link was spent or is over.

        Nothing counts against them any more if that ``unlocks``.

        Of all who use a link at once, on any worker, one is told so.
        """
        with self._database.writing() as connection:
            user_id, purpose = self._spend_in(connection, token)
            if user_id is None or not self._users.set_password_in(
                connection, user_id, password_hash, unlocks=unlocks
            ):
                user_id = None
            else:
                self.end_in(connection, user_id)
                if purpose == "reset":
                    self._mail.queue_in(connection, user_id, "password_reset")
        self._versions.forget()
        return user_id

    @staticmethod
    def _spend_in(connection: Connection, token: str) -> tuple[str | None, str]:
        """The link is spent with this transaction; gives whose it was, None if it cannot be used, and why."""
        now = clock.now()
        spent = (
            update(links)
            .where(
                links.c.digest == crypto.digest(token),
                links.c.used_at.is_(None),
                links.c.expires_at > now,
            )
            .values(used_at=now)
            .returning(links.c.user_id, links.c.purpose)
        )
        row = connection.execute(spent).one_or_none()
        return (None, "") if row is None else (row.user_id, row.purpose)

    def rejected(self) -> None:
        """The use of a link that cannot be used is in the audit log."""
        self._audit.record(Entry(Event.USER_LINK_REJECTED, "denied", "link_over"))

    @staticmethod
    def end_in(connection: Connection, user_id: str) -> None:
        """No link of the person works any more."""
        mine = (links.c.user_id == user_id) & links.c.used_at.is_(None)
        connection.execute(update(links).where(mine).values(used_at=clock.now()))
