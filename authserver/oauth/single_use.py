"""Codes and refresh tokens: found by digest, spent once by one UPDATE, and told apart from a replay.

Of two who hand in the same one, exactly one gets tokens; the other's attempt ends the authorization,
and with it what the first one got (RFC 9700 §4.14.2, RFC 6749 §4.1.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Select, Table, bindparam, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..config import Settings
from ..db import Database, table_of
from ..models.authorization import AuthorizationCode
from ..models.token import RefreshToken
from .authorizations import ALIVE, WITH_ITS_PERSON, AuthorizationRecord, Authorizations, table
from .tokens import Minted

Kind = Literal["authorization_code", "refresh_token"]
TABLES: dict[Kind, Table] = {
    "authorization_code": table_of(AuthorizationCode),
    "refresh_token": table_of(RefreshToken),
}
# why an authorization ends when one of a kind comes again
REPLAY_REASONS: dict[Kind, str] = {"authorization_code": "code_replay", "refresh_token": "refresh_reuse"}
SUCCESSOR_PURPOSE = "refresh.successor"
# what 256 bits are in base64url: anything else was never given out
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


def _find(rows: Table) -> Select[Any]:
    granted = [column.label(f"of_{column.name}") for column in table.c]
    return (
        select(rows, *granted, ALIVE.label("alive"))
        .select_from(WITH_ITS_PERSON.join(rows, rows.c.gid == table.c.gid))
        .where(rows.c.digest == bindparam("wanted"))
    )


_QUERIES = {kind: _find(rows) for kind, rows in TABLES.items()}


@dataclass(frozen=True, slots=True)
class Presented:
    """A code or refresh token as it was read, with its authorization.

    ``alive`` is whether authorization, person and session have not ended. The last three are of codes alone.
    """

    kind: Kind
    digest: bytes
    expires_at: int
    used_at: int | None
    authorization: AuthorizationRecord
    alive: bool
    redirect_uri: str = ""
    code_challenge: str | None = None
    nonce: str | None = None

    def get_scope(self) -> str:
        """The scope that was granted; Authlib's refresh grant asks this."""
        return " ".join(self.authorization.scopes)


class SingleUse:
    """Finds and spends them.

    With a grace a refresh token that was just spent is answered once more, until what follows it is used:
    the answer may have been lost. One that was itself given out twice is not: two may hold it, and whoever
    comes second with it is noticed. What follows it is then made from it under a key of this server, so that
    both answers are the same and none of it rests.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        authorizations: Authorizations,
        audit: Audit,
        master: crypto.MasterKeys,
    ) -> None:
        self._grace = settings.refresh_grace_seconds
        self._key = master.derive(SUCCESSOR_PURPOSE)
        self._database = database
        self._authorizations = authorizations
        self._audit = audit

    def successor(self, refresh_token: str | None) -> str:
        """A refresh token to follow ``refresh_token``, or to be the first; with a grace always the same."""
        if refresh_token is None or not self._grace:
            return crypto.random_token()
        return crypto.b64u(crypto.mac(self._key, refresh_token.encode()))

    def find(self, kind: Kind, text: str) -> Presented | None:
        """What ``text`` is, spent, expired and ended ones included; None if it was never given out."""
        if not _FORM.fullmatch(text):
            return None
        with self._database.reading() as connection:
            row = connection.execute(_QUERIES[kind], {"wanted": crypto.digest(text)}).mappings().one_or_none()
        if row is None:
            return None
        own = {name: row[name] for name in ("redirect_uri", "code_challenge", "nonce") if name in row}
        return Presented(
            kind,
            row["digest"],
            row["expires_at"],
            row["used_at"],
            AuthorizationRecord.of(row, "of_"),
            bool(row["alive"]),
            **own,
        )

    def refusal(self, presented: Presented) -> str:
        """Why it gets nothing, as it was read; empty if it may be spent. A spent one ends everything."""
        if presented.used_at is not None and not self._in_grace(presented.kind, presented.used_at):
            with self._database.writing() as connection:
                self._replayed_in(connection, presented)
            return "replayed"
        if not presented.alive:
            return "grant_ended"
        if presented.expires_at <= clock.now():
            return "grant_expired"
        return ""

    def spend(self, presented: Presented, successor: str | None, minted: Minted) -> str:
        """It is spent, ``successor`` (a refresh token) rests and ``minted`` is on record, all at once.

        Empty then; otherwise why nothing may be given out. What that changed is committed as well.
        """
        now = clock.now()
        rows = TABLES[presented.kind]
        fresh = (rows.c.digest == presented.digest) & rows.c.used_at.is_(None) & (rows.c.expires_at > now)
        with self._database.writing() as connection:
            if connection.execute(update(rows).where(fresh).values(used_at=now)).rowcount != 1:
                return self._lost_in(connection, presented, successor, minted)
            if not self._authorizations.holds_in(connection, presented.authorization.gid):
                return "grant_ended"
            if successor is not None:
                self._rest_in(connection, presented.authorization, successor)
            minted.rest_in(connection)
            self._audit.record_in(connection, minted.entry)
        return ""

    def end(self, presented: Presented, entry: Entry) -> bool:
        """The authorization has ended at its client's wish; whether it was still alive."""
        with self._database.writing() as connection:
            first = self._authorizations.end_in(connection, presented.authorization.gid, "revoked")
            if first:
                self._audit.record_in(connection, entry)
        return first

    def _lost_in(
        self, connection: Connection, presented: Presented, successor: str | None, minted: Minted
    ) -> str:
        """Somebody was faster, it is a retry, or its time ran out since it was read."""
        rows = TABLES[presented.kind]
        query = select(rows).where(rows.c.digest == presented.digest)
        spent = connection.execute(query).mappings().one_or_none()
        if spent is None or spent["used_at"] is None:
            return "grant_expired"
        in_time = self._in_grace(presented.kind, spent["used_at"]) and presented.expires_at > clock.now()
        first = in_time and spent["repeated_at"] is None
        if first and successor is not None and self._repeat_in(connection, presented, successor):
            if not self._authorizations.holds_in(connection, presented.authorization.gid):
                return "grant_ended"
            minted.rest_in(connection)
            self._audit.record_in(connection, replace(minted.entry, reason="retry"))
            return ""
        self._replayed_in(connection, presented)
        return "replayed"

    def _in_grace(self, kind: Kind, used_at: int) -> bool:
        return kind == "refresh_token" and self._grace > 0 and clock.now() < used_at + self._grace

    @staticmethod
    def _repeat_in(connection: Connection, presented: Presented, successor: str) -> bool:
        """Whether ``successor`` may be given out again: it rests, was not used, and it is the first time."""
        rows = TABLES["refresh_token"]
        fresh = (
            (rows.c.digest == crypto.digest(successor))
            & (rows.c.gid == presented.authorization.gid)
            & rows.c.used_at.is_(None)
            & rows.c.repeated_at.is_(None)
        )
        return connection.execute(update(rows).where(fresh).values(repeated_at=clock.now())).rowcount == 1

    def _replayed_in(self, connection: Connection, presented: Presented) -> None:
        granted = presented.authorization
        entry = Entry(
            Event.GRANT_REPLAY_DETECTED,
            "denied",
            presented.kind,
            client_id=granted.client_id,
            user_id=granted.user_id,
            session_id=granted.sid,
            detail={"gid": granted.gid},
        )
        self._audit.record_in(connection, entry)
        self._authorizations.end_in(connection, granted.gid, REPLAY_REASONS[presented.kind])

    @staticmethod
    def _rest_in(connection: Connection, granted: AuthorizationRecord, successor: str) -> None:
        row = {
            "digest": crypto.digest(successor),
            "gid": granted.gid,
            "client_id": granted.client_id,
            "created_at": clock.now(),
            "expires_at": granted.expires_at,
        }
        connection.execute(insert(TABLES["refresh_token"]).values(row))
