"""Partners: invited by an initial access token (RFC 7591 §1.2), whose policy bounds what they register.

The token rests as a digest. How many clients it is good for counts down by one conditional UPDATE, in the
transaction that makes the client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from . import clock, crypto
from .audit import Audit, Entry, Event
from .db import Database, table_of
from .errors import Invalid, NotDone
from .models.partner import InitialAccessToken
from .visible_text import shows

DAY = 86_400
MAX_CLIENTS = 100_000
MAX_DAYS = 3650
# of a token in base64url
TOKEN_LENGTH = 43
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# a host name in lower case whose last label is no number, or an app's scheme: com.example.app:
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SCHEME = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+:")
table = table_of(InitialAccessToken)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be registered by one initial access token, and what its clients are when they are made."""

    partner: str
    scopes: frozenset[str]
    grant_types: frozenset[str]
    auth_methods: frozenset[str]
    redirect_hosts: frozenset[str] = frozenset()
    authorization_details_types: frozenset[str] = frozenset()
    subject_types: frozenset[str] = frozenset({"public", "pairwise"})
    access_token_formats: frozenset[str] = frozenset({"jwt"})
    networks: tuple[str, ...] = ()
    profile: str = "oauth21"
    tier: str = "standard"
    client_state: str = "pending"

    def allows_redirect(self, uri: str) -> bool:
        """Whether codes may be sent to ``uri``, a URI that may be registered: its host is in the policy."""
        parts = urlsplit(uri)
        if parts.scheme not in ("https", "http"):
            return f"{parts.scheme}:" in self.redirect_hosts
        host = (parts.hostname or "").lower()
        return ("localhost" if host in LOOPBACK else host) in self.redirect_hosts


@dataclass(frozen=True, slots=True)
class Invitation:
    """An initial access token as its row says: its policy, and how far it still reaches."""

    token_id: str
    policy: Policy
    clients_left: int
    created_at: int
    expires_at: int
    revoked_at: int | None

    @property
    def state(self) -> str:
        """open, used up, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at <= clock.now():
            return "expired"
        return "open" if self.clients_left > 0 else "used up"

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """The invitation in a row."""
        values = {field.name: row[field.name] for field in fields(Policy)}
        sets = {name: frozenset(value) for name, value in values.items() if isinstance(value, list)}
        policy = Policy(**(values | sets | {"networks": tuple(row["networks"])}))
        own = ("token_id", "clients_left", "created_at", "expires_at", "revoked_at")
        return cls(policy=policy, **{name: row[name] for name in own})


class Partners:
    """Makes, finds and ends initial access tokens."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def invite(self, policy: Policy, clients: int, days: int) -> tuple[str, str]:
        """A new token for ``clients`` clients and ``days`` days: its id, and the token, shown only now."""
        _judge(policy, clients, days)
        token, token_id, now = crypto.random_token(), crypto.random_token(96), clock.now()
        row: dict[str, Any] = {
            name: sorted(value) if isinstance(value, frozenset | tuple) else value
            for name, value in ((field.name, getattr(policy, field.name)) for field in fields(Policy))
        }
        row |= {
            "token_id": token_id,
            "digest": crypto.digest(token),
            "clients_left": clients,
            "created_at": now,
            "expires_at": now + days * DAY,
        }
        detail = {n: row[n] for n in ("token_id", "partner", "scopes", "grant_types", "redirect_hosts")}
        detail |= {n: row[n] for n in ("client_state", "tier", "clients_left", "expires_at")}
        with self._database.writing() as connection:
            connection.execute(insert(table).values(row))
            self._audit.record_in(connection, Entry(Event.PARTNER_INVITED, detail=detail))
        return token_id, token

    def all(self) -> list[Invitation]:
        """Every invitation, the newest first."""
        with self._database.reading() as connection:
            query = select(table).order_by(table.c.created_at.desc(), table.c.token_id)
            return [Invitation.of(row) for row in connection.execute(query).mappings()]

    def find(self, token: str) -> Invitation | None:
        """The invitation of a token that is good for one more client now; None for every other text."""
        if len(token) != TOKEN_LENGTH:
            return None
        found = self._one(table.c.digest == crypto.digest(token))
        return found if found is not None and found.state == "open" else None

    def policy(self, token_id: str) -> Policy:
        """The policy that binds what was registered by a token, also when its time is over."""
        found = self._one(table.c.token_id == token_id)
        assert found is not None, "a registration keeps its token's row"
        return found.policy

    def reserve_in(self, connection: Connection, token_id: str) -> bool:
        """Whether one more client is registered by this token, should ``connection`` commit."""
        good = (
            (table.c.token_id == token_id)
            & (table.c.clients_left > 0)
            & (table.c.expires_at > clock.now())
            & table.c.revoked_at.is_(None)
        )
        one_less = update(table).where(good).values(clients_left=table.c.clients_left - 1)
        return connection.execute(one_less).rowcount == 1

    def revoke(self, token_id: str) -> None:
        """Nothing more is registered by this token; its clients stay. Invalid if there is none to revoke."""
        mine = (table.c.token_id == token_id) & table.c.revoked_at.is_(None)
        with self._database.writing() as connection:
            ended = update(table).where(mine).values(revoked_at=clock.now())
            if connection.execute(ended).rowcount != 1:
                raise NotDone("There is no initial access token of this id that is not revoked yet.")
            self._audit.record_in(connection, Entry(Event.PARTNER_REVOKED, detail={"token_id": token_id}))

    def _one(self, which: ColumnElement[bool]) -> Invitation | None:
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(which)).mappings().one_or_none()
        return None if row is None else Invitation.of(row)


def _judge(policy: Policy, clients: int, days: int) -> None:
    """The invitation makes sense as a whole; Invalid otherwise."""
    if len(policy.partner) > 100 or not shows(policy.partner):
        raise Invalid("The partner's name is one line of 1 to 100 characters, with nothing hidden.")
    for host in policy.redirect_hosts:
        if not (_HOST.fullmatch(host) or _SCHEME.fullmatch(host)) or len(host) > 253:
            raise Invalid(
                "A redirect host is one name in lower case (shop.example), localhost for loopback addresses, "
                "or an app's scheme (com.example.app:). It has no wildcard, port or path."
            )
    if not policy.grant_types:
        raise Invalid("An invitation allows at least one grant type.")
    if not policy.auth_methods:
        raise Invalid("An invitation allows at least one authentication method.")
    if not policy.subject_types or not policy.access_token_formats:
        raise Invalid("An invitation allows at least one subject type and one form of access tokens.")
    if "authorization_code" in policy.grant_types and not policy.redirect_hosts:
        raise Invalid("With authorization_code name at least one redirect host.")
    if policy.client_state not in ("pending", "active"):
        raise Invalid("New clients are pending or active.")
    if not (1 <= clients <= MAX_CLIENTS and 1 <= days <= MAX_DAYS):
        raise Invalid(f"An invitation is for 1 to {MAX_CLIENTS} clients and 1 to {MAX_DAYS} days.")
