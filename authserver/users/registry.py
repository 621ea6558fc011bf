"""The registry of people: every change is one transaction that raises the version of the users' cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..cache import ByKey, Versions, raise_version
from ..db import Database, table_of
from ..errors import NotDone
from ..models.user import User
from . import past_passwords
from .record import (
    ERASED,
    MAX_EMAIL,
    UserRecord,
    email_of,
    group_of,
    name_of,
    normalise,
    username_of,
)

users = table_of(User)

UNLOCKED: dict[str, Any] = {"failures": 0, "locked_until": None}
NO_SUCH_USER = "There is no such user."
# What else ends when a person's access does, in the same transaction: (connection, user_id, reason).
Ends = Callable[[Connection, str, str], None]


class Users:
    """Reads people for every request, and changes them for operators.

    ``ends`` is called wherever sessions and authorizations of a person must not outlive a change.
    Of people in the groups ``remembered`` the last passwords are kept as hashes.
    """

    def __init__(
        self,
        database: Database,
        versions: Versions,
        audit: Audit,
        ends: Ends,
        remembered: Iterable[str] = (),
    ) -> None:
        self._remembered = frozenset(remembered)
        self._database = database
        self._versions = versions
        self._audit = audit
        self._ends = ends
        self._cache = ByKey(versions, "users", self._load, self._changed_since)

    def get(self, user_id: str) -> UserRecord | None:
        """The person of ``user_id`` in whatever state, as of the confirmed version; None if there is none."""
        if not user_id or len(user_id) > 32:
            return None
        return self._cache.get(user_id)

    def find(self, login_name: str) -> UserRecord | None:
        """The person of a user name or e-mail address, read now; one query whether there is one or not."""
        # a stray surrogate, from a terminal alone, is in nobody's name and in no database's text
        name = normalise(login_name.encode("utf-8", "replace").decode())[: MAX_EMAIL + 1]
        column = users.c.email if "@" in name else users.c.username
        with self._database.reading() as connection:
            row = connection.execute(select(users).where(column == name)).mappings().one_or_none()
        return None if row is None else UserRecord.of(row)

    def all(self) -> list[UserRecord]:
        """Everybody, by user name; for operators, never for a request."""
        with self._database.reading() as connection:
            rows = connection.execute(select(users).order_by(users.c.username)).mappings().all()
        return [UserRecord.of(row) for row in rows]

    def create(self, username: str, email: str | None = None, name: str | None = None) -> UserRecord:
        """A new person, invited: without a password until a link is used; Invalid if the name is taken."""
        values: dict[str, Any] = {
            "user_id": crypto.random_token(128),
            "username": username_of(username),
            "email": email_of(email) if email else None,
            "name": name_of(name or username),
            "state": "invited",
            "groups": [],
            "failures": 0,
        }
        taken = or_(
            users.c.username == values["username"],
            (users.c.email == values["email"]) if email else users.c.user_id.is_(None),
        )
        with self._database.writing() as connection:
            version = raise_version(connection, "users")
            if connection.execute(select(users.c.user_id).where(taken)).first() is not None:
                raise NotDone("There is a user of this name or e-mail address already.")
            connection.execute(insert(users).values(**values, created_at=clock.now(), version=version))
            self._audit.record_in(connection, Entry(Event.USER_CREATED, user_id=values["user_id"]))
        self._versions.forget()
        return self.must(values["user_id"])

    def must(self, user_id: str) -> UserRecord:
        """The person of ``user_id``, read now; Invalid if there is none."""
        user = self._load(user_id)
        if user is None:
            raise NotDone(NO_SUCH_USER)
        return user

    def disable(self, user_id: str) -> None:
        """The person gets nothing any more, on every worker within the caches' confirmation time."""
        if self.must(user_id).state == ERASED:
            raise NotDone("This user was erased; nothing of them is left to be disabled.")
        with self._changing(user_id, {"state": "disabled"}) as connection:
            self._ends(connection, user_id, "user_disabled")
            self._audit.record_in(
                connection, Entry(Event.USER_STATE_CHANGED, reason="disabled", user_id=user_id)
            )

    def disable_unused(self, user_id: str, before: int) -> None:
        """As ``disable``, if the person's account was last used ``before``; NotDone if it was used since."""
        unused = (users.c.state == "active") & (users.c.last_used_at < before)
        with self._changing(user_id, {"state": "disabled"}, unused) as connection:
            self._ends(connection, user_id, "user_disabled")
            entry = Entry(Event.USER_STATE_CHANGED, reason="unused", user_id=user_id)
            self._audit.record_in(connection, entry)

    def enable(self, user_id: str) -> None:
        """A disabled person may log in again; one without a password is invited again."""
        user = self.must(user_id)
        if user.state == ERASED:
            raise NotDone("This user was erased; nothing of them is left to be enabled.")
        state = "active" if user.password_hash else "invited"
        with self._changing(user_id, {"state": state, "last_used_at": clock.now()}) as connection:
            self._audit.record_in(connection, Entry(Event.USER_STATE_CHANGED, reason=state, user_id=user_id))

    def set_groups(self, user_id: str, names: Iterable[str]) -> list[str]:
        """The person is in these groups and no others; gives them. Invalid for a name that is none."""
        groups = sorted({group_of(name) for name in names})
        with self._changing(user_id, {"groups": groups}) as connection:
            entry = Entry(Event.USER_GROUPS_CHANGED, user_id=user_id, detail={"groups": groups})
            self._audit.record_in(connection, entry)
        return groups

    def prove_email_in(self, connection: Connection, user: UserRecord) -> None:
        """The person reads what is sent to the address of ``user``, if it is still theirs."""
        if user.email_verified_at is not None:
            return
        same = (users.c.user_id == user.user_id) & (users.c.email == user.email)
        values = {"email_verified_at": clock.now(), "version": raise_version(connection, "users")}
        connection.execute(update(users).where(same).values(values))

    def speaks(self, user: UserRecord, language: str) -> None:
        """Messages to the person are in this language from now on."""
        if user.language != language:
            with self._changing(user.user_id, {"language": language}):
                pass

    def set_password_in(
        self, connection: Connection, user_id: str, password_hash: str, *, unlocks: bool = True
    ) -> bool:
        """The person is active with this password; False if disabled.

        Whatever was logged in with the old password has ended. Nothing counts against them if it ``unlocks``.
        """
        values = {"password_hash": password_hash} | (UNLOCKED if unlocks else {})
        return self._set_in(connection, user_id, users.c.state.in_(("invited", "active")), values)

    def change_password_in(
        self, connection: Connection, user: UserRecord, password_hash: str, *, unlocks: bool = True
    ) -> bool:
        """As ``set_password_in``, as long as the person is active and has the password that was read."""
        same = (users.c.state == "active") & (users.c.password_hash == user.password_hash)
        return self._set_in(
            connection, user.user_id, same, {"password_hash": password_hash} | (UNLOCKED if unlocks else {})
        )

    def _set_in(
        self, connection: Connection, user_id: str, while_: ColumnElement[bool], values: dict[str, Any]
    ) -> bool:
        values |= {
            "password_changed_at": clock.now(),
            "last_used_at": clock.now(),
            "state": "active",
            "version": raise_version(connection, "users"),
        }
        mine = users.c.user_id == user_id
        present = past_passwords.present_in(connection, user_id, self._remembered)
        if connection.execute(update(users).where(mine, while_).values(values)).rowcount != 1:
            return False
        past_passwords.keep_in(connection, user_id, present)
        self._ends(connection, user_id, "password_changed")
        self._audit.record_in(connection, Entry(Event.PASSWORD_CHANGED, user_id=user_id))
        return True

    @contextmanager
    def _changing(
        self, user_id: str, values: dict[str, Any], *while_: ColumnElement[bool]
    ) -> Iterator[Connection]:
        """One transaction that changes a person, and the end of what the caches know of them."""
        with self._database.writing() as connection:
            row = values | {"version": raise_version(connection, "users")}
            mine = users.c.user_id == user_id
            if connection.execute(update(users).where(mine, *while_).values(row)).rowcount != 1:
                raise NotDone(NO_SUCH_USER)
            yield connection
        self._versions.forget()

    def _changed_since(self, version: int) -> Iterable[str]:
        with self._database.reading() as connection:
            query = select(users.c.user_id).where(users.c.version > version)
            return list(connection.execute(query).scalars())

    def _load(self, user_id: str) -> UserRecord | None:
        with self._database.reading() as connection:
            query = select(users).where(users.c.user_id == user_id)
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else UserRecord.of(row)
