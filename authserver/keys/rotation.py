"""The life of keys: next is announced, active signs, retired verifies until its tokens end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..cache import raise_version
from ..config import Settings
from ..db import Database
from ..errors import Invalid, NotDone
from .store import generate, place, table

log = logging.getLogger(__name__)

DAY = 86_400


class Rotation:
    """Changes of the key table; each is one transaction that raises the version of the keys' cache."""

    def __init__(
        self, database: Database, master: crypto.MasterKeys, audit: Audit, settings: Settings
    ) -> None:
        self._database = database
        self._master = master
        self._audit = audit
        self._max_age = settings.jwks_max_age
        self._interval = settings.key_rotation_days * DAY
        # the longest-lived thing that a key signs decides how long it stays published
        self._retention = (
            max(settings.access_token_lifetime, settings.revocations_lifetime) + settings.jwks_max_age
        )

    def ensure(self, alg: str) -> None:
        """``alg`` has an active and a next key; both are made when the server first starts."""
        made = [self._new(alg), self._new(alg)]  # before the transaction: an RSA key takes its time
        with self._changing() as connection:
            states = {
                row.state for row in connection.execute(select(table.c.state).where(table.c.alg == alg))
            }
            for state in ("active", "next"):
                if state not in states:
                    self._insert(connection, made.pop(), state)

    def rotate(self, alg: str, *, compromise: bool = False) -> str:
        """The next key of ``alg`` signs from now on; gives its key id. Invalid when it is too early.

        Without ``compromise`` every client has had ``jwks_max_age`` seconds to learn of the next key. With
        it the old key is revoked: it leaves the JWKS at once and what it signed is refused.
        """
        successor = self._new(alg)
        now = clock.now()
        with self._changing() as connection:
            keys = connection.execute(
                select(table.c.kid, table.c.state, table.c.published_at).where(
                    table.c.alg == alg, table.c.state.in_(("next", "active"))
                )
            ).all()
            following = next((key for key in keys if key.state == "next"), None)
            if following is None:
                raise NotDone(
                    "There is no next key of this algorithm yet; keys are made by `authserver db upgrade`."
                )
            wait = following.published_at + self._max_age - now
            if wait > 0 and not compromise:
                raise NotDone(
                    "The next key was published too recently; APIs may not know it yet. "
                    f"Wait {wait} s or use --compromise."
                )
            self._retire(connection, alg, compromise)
            connection.execute(
                update(table).where(table.c.kid == following.kid).values(state="active", activated_at=now)
            )
            self._insert(connection, successor, "next")
            detail = {"alg": alg, "kid": following.kid, "compromise": compromise}
            self._audit.record_in(connection, Entry(Event.KEY_ROTATED, detail=detail))
        return str(following.kid)

    def advance(self) -> None:
        """Keys whose time has come move on: old active ones are succeeded, expired ones erased."""
        now = clock.now()
        with self._database.reading() as connection:
            active = connection.execute(
                select(table.c.alg, table.c.activated_at).where(table.c.state == "active")
            ).all()
            expired = connection.execute(
                select(table.c.kid).where(table.c.state == "retired", table.c.expires_at <= now)
            ).scalars()
            gone = list(expired)
        for key in active:
            if now - key.activated_at >= self._interval:
                try:
                    self.rotate(key.alg)
                except Invalid as refusal:
                    # its next key is too new yet; the other algorithms move on
                    log.warning("%s is not rotated: %s", key.alg, refusal)
        if gone:
            with self._changing() as connection:
                connection.execute(
                    update(table)
                    .where(table.c.kid.in_(gone))
                    .values(state="revoked", sealed_private_jwk=None)
                )

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """One transaction that changes keys; another waits for its end before it reads what is there."""
        with self._database.writing() as connection:
            raise_version(connection, "keys")
            yield connection

    def _retire(self, connection: Connection, alg: str, compromise: bool) -> None:
        now = clock.now()
        values = (
            {"state": "revoked", "retired_at": now, "expires_at": now, "sealed_private_jwk": None}
            if compromise
            else {"state": "retired", "retired_at": now, "expires_at": now + self._retention}
        )
        connection.execute(update(table).where(table.c.alg == alg, table.c.state == "active").values(values))

    def _new(self, alg: str) -> tuple[str, str, dict[str, object], str]:
        pair = generate(alg)
        kid = crypto.random_token(128)
        sealed = self._master.seal(json.dumps(pair.as_dict(private=True)).encode(), place(kid))
        return kid, alg, pair.as_dict(private=False), sealed

    def _insert(
        self, connection: Connection, new: tuple[str, str, dict[str, object], str], state: str
    ) -> None:
        kid, alg, public, sealed = new
        now = clock.now()
        activated_at = now if state == "active" else None
        connection.execute(
            insert(table).values(
                kid=kid, alg=alg, state=state, public_jwk=public, sealed_private_jwk=sealed,
                published_at=now, activated_at=activated_at,
            )
        )  # fmt: skip
        detail = {"alg": alg, "kid": kid, "state": state}
        self._audit.record_in(connection, Entry(Event.KEY_CREATED, detail=detail))
