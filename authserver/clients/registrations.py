"""Clients that partners registered: made, replaced and deleted, each in one transaction.

The registration access token (RFC 7592 §1.2) is 256 random bits and rests as a digest. It does not change
while the client lives: a lost answer to an update costs nobody their client.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..errors import Invalid
from ..ip_allowlist import Allowlist
from ..models.partner import ClientRegistration, InitialAccessToken
from ..partners import Invitation, Partners
from . import metadata
from .changes import Clients
from .metadata import SECRET_METHODS
from .registry import Changed
from .rows import clients, living, networks

table = table_of(ClientRegistration)
invitations = table_of(InitialAccessToken)
# the columns of a client that its partner sets
COLUMNS = (
    "client_name", "application_type", "redirect_uris", "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg", "grant_types", "scopes", "authorization_details_types", "id_token_alg",
    "jwks", "jwks_uri", "default_max_age",
    "userinfo_alg", "subject_type", "sector", "sector_identifier_uri", "access_token_format",
    "initiate_login_uri",
    "post_logout_redirect_uris", "backchannel_logout_uri", "backchannel_logout_session_required",
)  # fmt: skip
NOBODY = bytes(32)
PENDING_DAYS = 30

Ends = Callable[[Connection, str], None]


class Spent(Exception):
    """The token that was good a moment ago is not any more: somebody was faster, or it ended."""


@dataclass(frozen=True)
class Registration:
    """A client as its partner sees it. ``values`` has the ``COLUMNS``, ``described`` what is for people."""

    client_id: str
    state: str
    token_id: str
    digest: bytes = field(repr=False)
    values: dict[str, Any]
    described: dict[str, Any]
    registered_at: int
    # from where the client may call, and be looked after
    allowlist: Allowlist
    # of the client when it was read; 0 for what was just made
    version: int = 0


class Registrations:
    """Reads and changes what partners registered. ``ends`` ends all that people granted a client."""

    def __init__(
        self, database: Database, clients_: Clients, partners: Partners, audit: Audit, ends: Ends
    ) -> None:
        self._database = database
        self._clients = clients_
        self._partners = partners
        self._audit = audit
        self._ends = ends

    def get(self, client_id: str) -> Registration | None:
        """The registration of a client in whatever state; None for one that an operator made, or none."""
        wanted = select(table, clients.c.state, clients.c.version, *(clients.c[name] for name in COLUMNS))
        joined = wanted.join(clients, clients.c.client_id == table.c.client_id)
        with self._database.reading() as connection:
            row = connection.execute(joined.where(living(client_id))).mappings().one_or_none()
            if row is None:
                return None
            cidrs = connection.execute(select(networks.c.cidr).where(networks.c.client_id == client_id))
            allowlist = Allowlist(cidrs.scalars())
        own = ("client_id", "state", "token_id", "digest", "described", "registered_at", "version")
        values = {name: row[name] for name in COLUMNS}
        return Registration(**{n: row[n] for n in own}, values=values, allowlist=allowlist)

    def find(self, client_id: str, token: str) -> Registration | None:
        """The registration of a client that ``token`` is for; None alike when there is none, or another."""
        found = self.get(client_id)
        fits = crypto.equal(NOBODY if found is None else found.digest, crypto.digest(token))
        return found if fits else None

    def add(
        self, invitation: Invitation, values: dict[str, Any], described: dict[str, Any]
    ) -> tuple[Registration, str, str | None]:
        """A new client: its registration, registration access token and secret, both shown only now.

        Spent when the invitation is not good any more; Invalid for metadata that do not fit together.
        """
        policy = invitation.policy
        given = {"state": policy.client_state, "profile": policy.profile, "tier": policy.tier}
        new = self._clients.prepare(values | given)
        token = crypto.random_token()
        row = {
            "client_id": new.client_id,
            "token_id": invitation.token_id,
            "digest": crypto.digest(token),
            "described": described,
            "registered_at": new.values["created_at"],
            "updated_at": new.values["created_at"],
        }
        with self._database.writing() as connection:
            if not self._partners.reserve_in(connection, invitation.token_id):
                raise Spent
            self._clients.add_in(connection, new, policy.networks)
            connection.execute(insert(table).values(row))
            self._record(connection, Event.REGISTRATION_CREATED, new.client_id, invitation.token_id)
        del row["updated_at"]
        kept = {name: new.values[name] for name in COLUMNS}
        allowlist = Allowlist(policy.networks)
        told = Registration(state=policy.client_state, values=kept, allowlist=allowlist, **row)
        return told, token, new.secret

    def replace(
        self, old: Registration, values: dict[str, Any], described: dict[str, Any]
    ) -> tuple[Registration, str | None]:
        """The client's metadata are these; its state, tier, profile and networks stay. Gives a new secret.

        There is one only when the client authenticates with secrets from now on and did not before. Spent
        when it was deleted meanwhile, Changed when it was changed; Invalid for metadata that do not fit
        together.
        """
        # without PKCE is what operators alone register
        metadata.judge({"require_pkce": True} | values)
        had = old.values["token_endpoint_auth_method"] in SECRET_METHODS
        needs = values["token_endpoint_auth_method"] in SECRET_METHODS
        secret, hash_ = self._clients.new_secret(old.client_id) if needs and not had else (None, None)
        changes = {"described": described, "updated_at": clock.now()}
        changed = sorted(name for name in COLUMNS if values[name] != old.values[name])
        try:
            with self._clients.replacing(old.client_id, values, old.version, hash_) as connection:
                if connection.execute(update(table).where(_still(old)).values(changes)).rowcount != 1:
                    raise Spent
                detail = {"changed": changed}
                self._record(connection, Event.REGISTRATION_UPDATED, old.client_id, old.token_id, detail)
        except Invalid:
            raise Spent from None
        return dataclasses.replace(old, values=values, described=described), secret

    def delete(self, old: Registration, actor: str = "", reason: str = "", judged: int | None = None) -> None:
        """The client is gone, and with it all that people granted it; Spent when it was gone already.

        Changed when it is not of the version ``judged``, if that is given.
        """
        detail = {"token_id": old.token_id}
        entry = Entry(
            Event.REGISTRATION_DELETED, reason=reason, client_id=old.client_id, actor=actor, detail=detail
        )
        try:
            with self._clients.deleting(old.client_id, judged) as connection:
                if connection.execute(delete(table).where(_still(old))).rowcount != 1:
                    raise Spent
                self._ends(connection, old.client_id)
                self._audit.record_in(connection, entry)
        except Invalid:
            raise Spent from None

    def was_read(self, registration: Registration) -> None:
        """Whoever has the client's token has seen its registration; on record."""
        detail = {"token_id": registration.token_id}
        self._audit.record(Entry(Event.REGISTRATION_READ, client_id=registration.client_id, detail=detail))

    def of_partner(self, partner: str) -> set[str]:
        """The ids of all clients that a partner of this name registered."""
        invited = table.join(invitations, invitations.c.token_id == table.c.token_id)
        query = select(table.c.client_id).select_from(invited).where(invitations.c.partner == partner)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def expire(self) -> int:
        """Clients that nobody approved within ``PENDING_DAYS`` days are gone; gives how many."""
        before = clock.now() - PENDING_DAYS * 86_400
        waiting = (clients.c.state == "pending") & (table.c.registered_at <= before)
        query = select(table.c.client_id).join(clients, clients.c.client_id == table.c.client_id)
        with self._database.reading() as connection:
            ids = list(connection.execute(query.where(waiting)).scalars())
        gone = 0
        for client_id in ids:
            found = self.get(client_id)
            if found is not None and found.state == "pending":
                # one that is approved this very moment stays
                with suppress(Changed):
                    self.delete(found, "system", "not_approved", found.version)
                    gone += 1
        return gone

    def _record(
        self,
        connection: Connection,
        event: Event,
        client_id: str,
        token_id: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        entry = Entry(event, client_id=client_id, detail={"token_id": token_id} | (detail or {}))
        self._audit.record_in(connection, entry)


def _still(old: Registration) -> ColumnElement[bool]:
    return (table.c.client_id == old.client_id) & (table.c.digest == old.digest)
