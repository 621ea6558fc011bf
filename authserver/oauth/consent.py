"""Consent: what a person allows a client, remembered for scopes, never for payments.

One grant row a person and client. Withdrawing it ends every authorization under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..clients import Clients
from ..db import Database, insert_once, table_of
from ..models.authorization import Authorization
from ..models.grant import Grant
from ..models.token import RefreshToken
from .authorization_request import AuthorizationRequest
from .authorizations import Authorizations

# SQLite has no OFFSET without a LIMIT
NO_LIMIT = 2**62
table = table_of(Grant)
authorizations = table_of(Authorization)
refresh_tokens = table_of(RefreshToken)
_FAMILY = refresh_tokens.join(authorizations, authorizations.c.gid == refresh_tokens.c.gid)
_LAST_USED = (
    select(func.max(authorizations.c.created_at))
    .where(authorizations.c.grant_id == table.c.grant_id)
    .scalar_subquery()
    .label("last_code"),
    select(func.max(refresh_tokens.c.created_at))
    .select_from(_FAMILY)
    .where(authorizations.c.grant_id == table.c.grant_id)
    .scalar_subquery()
    .label("last_refresh"),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a client may do without asking again, since a Unix time; a payment is never among it.

    ``last_used`` is when it last got tokens or a code, as far as that is still known.
    """

    client_id: str
    scopes: tuple[str, ...]
    since: int
    last_used: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What was on the page that a person agreed to: its language, and a digest of what it told."""

    language: str
    digest: str


class Consents:
    """Remembers, recalls and withdraws consent."""

    def __init__(
        self, database: Database, clients: Clients, authorizations: Authorizations, audit: Audit
    ) -> None:
        self._database = database
        self._clients = clients
        self._authorizations = authorizations
        self._audit = audit

    def needed(self, request: AuthorizationRequest, user_id: str) -> bool:
        """Whether the person must be asked: for a scope once, for what is not ``recallable`` always."""
        if "consent" in request.prompt or not self.recallable(request):
            return True
        with self._database.reading() as connection:
            row = connection.execute(_mine(request.client_id, user_id)).mappings().one_or_none()
        return not _covers(row, request)

    def recallable(self, request: AuthorizationRequest) -> bool:
        """Whether what was allowed before may count: no details, and nobody else poses as the client.

        RFC 6749 §10.2: no answer without the person where the client's identity is not assured.
        """
        client = self._clients.get(request.client_id)
        identified = client is not None and client.identified_at(request.redirect_uri)
        return identified and request.authorization_details is None

    def recall_in(self, connection: Connection, request: AuthorizationRequest, user_id: str) -> str | None:
        """The id of the grant that covers every scope of ``request``, held to the transaction's end."""
        row = self._row(connection, request.client_id, user_id)
        return str(row["grant_id"]) if _covers(row, request) else None

    def remember_in(
        self, connection: Connection, request: AuthorizationRequest, user_id: str, shown: Shown | None = None
    ) -> str:
        """The id of the grant under which the person has just allowed ``request``, as ``shown``; audited.

        Its scopes join those allowed before, unless the request has details: these are allowed once.
        """
        now = clock.now()
        fresh = {
            "grant_id": crypto.random_token(128),
            "user_id": user_id,
            "client_id": request.client_id,
            "scopes": [],
            "created_at": now,
            "updated_at": now,
        }
        insert_once(connection, Grant, fresh)
        row = self._row(connection, request.client_id, user_id)
        assert row is not None
        # one that was withdrawn begins anew
        ended = row["ended_at"] is not None
        before, since = ([], now) if ended else (row["scopes"], row["created_at"])
        added = request.consent_scopes if request.authorization_details is None else ()
        scopes = sorted({*before, *added})
        values = {"scopes": scopes, "created_at": since, "updated_at": now, "ended_at": None}
        connection.execute(update(table).where(table.c.grant_id == row["grant_id"]).values(values))
        detail: dict[str, Any] = {"grant_id": row["grant_id"], "scope": " ".join(request.consent_scopes)}
        if shown is not None:
            detail |= {"language": shown.language, "shown": shown.digest}
        if request.authorization_details is not None:
            detail["types"] = [element["type"] for element in request.authorization_details]
        entry = Entry(Event.CONSENT_GRANTED, client_id=request.client_id, user_id=user_id, detail=detail)
        self._audit.record_in(connection, entry)
        return str(row["grant_id"])

    def of(self, user_id: str, first: int = 0, most: int = NO_LIMIT) -> list[Allowed]:
        """What the person allows, the newest first; a client that was only ever paid has no scopes in it.

        ``most`` of them, from the one at ``first`` on.
        """
        mine = (table.c.user_id == user_id) & table.c.ended_at.is_(None)
        newest = table.c.created_at.desc(), table.c.client_id
        query = select(table, *_LAST_USED).where(mine).order_by(*newest).limit(most).offset(first)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Allowed(
                row["client_id"],
                tuple(row["scopes"]),
                row["created_at"],
                max((row[column.name] for column in _LAST_USED if row[column.name]), default=None),
            )
            for row in rows
        ]

    def ended(self, user_id: str, client_id: str) -> bool:
        """Whether the person allowed the client something once, and now nothing."""
        query = select(table.c.ended_at.is_not(None))
        with self._database.reading() as connection:
            mine = (table.c.user_id == user_id) & (table.c.client_id == client_id)
            return bool(connection.execute(query.where(mine)).scalar())

    def withdraw(self, user_id: str, client_id: str) -> bool:
        """The person allows the client nothing any more; whether there was something to withdraw."""
        with self._database.writing() as connection:
            ended = (
                update(table)
                .where(table.c.user_id == user_id, table.c.client_id == client_id)
                .where(table.c.ended_at.is_(None))
                .values(ended_at=clock.now(), scopes=[])
                .returning(table.c.grant_id)
            )
            grant_id = connection.execute(ended).scalar()
            if grant_id is None:
                return False
            self._authorizations.end_for_grant_in(connection, grant_id)
            detail = {"grant_id": grant_id}
            entry = Entry(Event.CONSENT_WITHDRAWN, client_id=client_id, user_id=user_id, detail=detail)
            self._audit.record_in(connection, entry)
        return True

    def end_for_client_in(self, connection: Connection, client_id: str) -> None:
        """Nobody allows the client anything any more, and all that it was given has ended."""
        theirs = (table.c.client_id == client_id) & table.c.ended_at.is_(None)
        # locked in one order, as authorizations are
        locked = select(table.c.grant_id, table.c.user_id).where(theirs).order_by(table.c.grant_id)
        for row in connection.execute(locked.with_for_update()).all():
            ended = update(table).where(table.c.grant_id == row.grant_id)
            connection.execute(ended.values(ended_at=clock.now(), scopes=[]))
            entry = Entry(
                Event.CONSENT_WITHDRAWN,
                reason="client_deleted",
                client_id=client_id,
                user_id=row.user_id,
                detail={"grant_id": row.grant_id},
            )
            self._audit.record_in(connection, entry)
        self._authorizations.end_for_client_in(connection, client_id)

    @staticmethod
    def _row(connection: Connection, client_id: str, user_id: str) -> Any:
        locked = _mine(client_id, user_id).with_for_update()
        return connection.execute(locked).mappings().one_or_none()


def _mine(client_id: str, user_id: str) -> Select[Any]:
    return select(table).where(table.c.user_id == user_id, table.c.client_id == client_id)


def _covers(row: Any, request: AuthorizationRequest) -> bool:
    return row is not None and row["ended_at"] is None and set(request.consent_scopes) <= set(row["scopes"])
