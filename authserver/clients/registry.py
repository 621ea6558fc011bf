"""The registry: every change is one transaction that raises the version of the clients' cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from .. import clock, crypto
from ..audit import Audit, Entry, Event
from ..cache import ByKey, Versions, raise_version
from ..db import Database, table_of
from ..errors import Invalid, NotDone
from ..models.scope import Scope
from . import audiences, metadata, rows, sectors
from .metadata import SECRET_METHODS
from .record import ClientRecord, is_client_id
from .rows import clients, networks, resource_servers, secrets
from .secrets import SecretHasher

scopes = table_of(Scope)

NO_SUCH_CLIENT = "There is no client of this id."


class Changed(Exception):
    """The client is not any more as it was when its change was judged: nothing was written."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client that is about to be registered: its row, its secret and that one's hash, if it has one."""

    client_id: str
    values: dict[str, Any]
    secret: str | None = field(repr=False)
    hash: str | None = field(repr=False)


class Registry:
    """Reads clients for every request, makes and ends them."""

    def __init__(self, database: Database, versions: Versions, audit: Audit, hasher: SecretHasher) -> None:
        self._database = database
        self._versions = versions
        self._audit = audit
        self._hasher = hasher
        self._cache = ByKey(versions, "clients", partial(rows.load, database), self._changed_since)

    def get(self, client_id: str) -> ClientRecord | None:
        """The client of ``client_id`` in whatever state; None if there is none."""
        if not is_client_id(client_id):
            return None
        return self._cache.get(client_id)

    def all(self) -> list[ClientRecord]:
        """Every client, by id; for operators, never for a request."""
        with self._database.reading() as connection:
            ids = list(
                connection.execute(select(clients.c.client_id).order_by(clients.c.client_id)).scalars()
            )
        return [client for client in map(partial(rows.load, self._database), ids) if client is not None]

    def create(
        self, values: dict[str, Any], allow: Sequence[str] = (), api: dict[str, Any] | None = None
    ) -> tuple[str, str | None]:
        """A new client from RFC 7591 metadata ``values``; gives its id and its secret, shown only now.

        With ``api`` (audience, name, signing_alg) it is that resource server; all of it or nothing.
        """
        new = self.prepare(values)
        with self._database.writing() as connection:
            self.add_in(connection, new, allow)
            if api is not None:
                self._add_resource_server(connection, new.client_id, api)
        return new.client_id, new.secret

    def prepare(self, values: dict[str, Any]) -> NewClient:
        """A client that is judged and has its id and secret, but is not registered; Invalid otherwise."""
        values = metadata.DEFAULTS | values
        client_id = values.get("client_id") or crypto.random_bytes(16).hex()
        if not is_client_id(client_id):
            raise Invalid("A client id is up to 128 printable ASCII characters (RFC 6749 appendix A.1).")
        if values["subject_type"] == "pairwise":
            values["sector"] = sectors.sector_of(values["redirect_uris"], values["sector_identifier_uri"])
        metadata.judge(values)
        secret = hash_ = None
        if values["token_endpoint_auth_method"] in SECRET_METHODS:
            secret, hash_ = self._hasher.make(client_id)
        row = values | {"client_id": client_id, "created_at": clock.now()}
        return NewClient(client_id, row, secret, hash_)

    def add_in(self, connection: Connection, new: NewClient, allow: Sequence[str] = ()) -> None:
        """The client is registered once ``connection`` commits; Invalid when its id was ever given."""
        mine = clients.c.client_id == new.client_id
        if connection.execute(select(clients.c.client_id).where(mine)).scalar():
            raise NotDone("There is a client of this id already.")
        version = raise_version(connection, "clients")
        connection.execute(insert(clients).values(**new.values, version=version))
        if new.hash:
            self._add_secret(connection, new.client_id, new.hash)
        self._set_networks(connection, new.client_id, allow)
        told = ("token_endpoint_auth_method", "grant_types", "scopes", "state", "tier")
        detail = {name: new.values[name] for name in told}
        entry = Entry(Event.CLIENT_REGISTERED, client_id=new.client_id, detail=detail)
        self._audit.record_in(connection, entry)

    def register_resource_server(
        self, client_id: str, audience: str, name: str, signing_alg: str | None = None
    ) -> None:
        """The client asks about tokens of ``audience``; Invalid when audience or name are taken."""
        with self._changing(client_id) as connection:
            api = {"audience": audience, "name": name, "signing_alg": signing_alg}
            self._add_resource_server(connection, client_id, api)

    def _add_resource_server(self, connection: Connection, client_id: str, api: dict[str, Any]) -> None:
        audience = audiences.validate(str(api["audience"]))
        taken = (resource_servers.c.audience == audience) | (resource_servers.c.name == api["name"])
        if connection.execute(select(resource_servers.c.name).where(taken)).first():
            raise NotDone("There is a resource server of this audience or name already.")
        connection.execute(insert(resource_servers).values(client_id=client_id, **api))
        raise_version(connection, "scopes")
        entry = Entry(Event.RESOURCE_SERVER_REGISTERED, client_id=client_id, detail={"audience": audience})
        self._audit.record_in(connection, entry)

    def holds(self, client_id: str, secret: str) -> bool:
        """Whether ``secret`` is one that the client authenticates with now."""
        return self._hasher.verify(client_id, rows.load(self._database, client_id), secret)

    def move_resource_server(self, client_id: str, audience: str) -> None:
        """The API that this client is, and the scopes it owns, are at a new ``audience``."""
        mine = resource_servers.c.client_id == client_id
        with self._changing(client_id) as connection:
            old = connection.execute(select(resource_servers).where(mine)).mappings().one()
            names = list(
                connection.execute(
                    select(scopes.c.name).where(scopes.c.audience == old["audience"])
                ).scalars()
            )
            connection.execute(update(scopes).where(scopes.c.name.in_(names)).values(audience=None))
            connection.execute(update(resource_servers).where(mine).values(audience=audience))
            connection.execute(update(scopes).where(scopes.c.name.in_(names)).values(audience=audience))
            raise_version(connection, "scopes")
            self._audit.record_in(
                connection,
                Entry(
                    Event.RESOURCE_SERVER_REGISTERED,
                    reason="moved",
                    client_id=client_id,
                    detail={"audience": audience},
                ),
            )

    def set_state(self, client_id: str, state: str) -> None:
        """The client is ``active`` or ``suspended`` on every worker within the caches' confirmation time."""
        with self._changing(client_id, {"state": state}) as connection:
            self._audit.record_in(
                connection, Entry(Event.CLIENT_STATE_CHANGED, reason=state, client_id=client_id)
            )

    def new_secret(self, client_id: str) -> tuple[str, str]:
        """A secret for a client that has none yet, and its hash for ``replacing``."""
        return self._hasher.make(client_id)

    @contextmanager
    def replacing(
        self, client_id: str, values: dict[str, Any], version: int, hash_: str | None = None
    ) -> Iterator[Connection]:
        """The client's metadata are ``values`` (judged), its secrets fit, and the block's work is done too.

        Nothing changes, and Invalid when there is no such client, Changed when it is not of ``version``.
        """
        with self._changing(client_id, values, version) as connection:
            if values["token_endpoint_auth_method"] not in SECRET_METHODS:
                connection.execute(delete(secrets).where(secrets.c.client_id == client_id))
            elif hash_ is not None:
                self._add_secret(connection, client_id, hash_)
            yield connection

    @contextmanager
    def deleting(self, client_id: str, judged: int | None = None) -> Iterator[Connection]:
        """The client is gone for good with the block's work; its id is never given again.

        Changed when it is not of the version ``judged``, if that is given.
        """
        gone = {"state": "deleted", "jwks": None, "jwks_uri": None}
        with self._changing(client_id, gone, judged) as connection:
            for own in (secrets, networks):
                connection.execute(delete(own).where(own.c.client_id == client_id))
            yield connection

    @contextmanager
    def _changing(
        self, client_id: str, values: dict[str, Any] | None = None, judged: int | None = None
    ) -> Iterator[Connection]:
        """One transaction that changes a client, of version ``judged`` alone if that is given, and the end of
        what the caches know of it.
        """
        with self._database.writing() as connection:
            version = raise_version(connection, "clients")
            row = (values or {}) | {"version": version}
            this = rows.living(client_id)
            if judged is not None:
                this &= clients.c.version == judged
            if connection.execute(update(clients).where(this).values(row)).rowcount != 1:
                if connection.execute(select(clients.c.version).where(rows.living(client_id))).first():
                    raise Changed
                raise NotDone(NO_SUCH_CLIENT)
            yield connection
        self._versions.forget()

    @staticmethod
    def _add_secret(connection: Connection, client_id: str, hash_: str) -> None:
        connection.execute(insert(secrets).values(client_id=client_id, hash=hash_, created_at=clock.now()))

    @staticmethod
    def _set_networks(connection: Connection, client_id: str, cidrs: Sequence[str]) -> None:
        if cidrs:
            connection.execute(insert(networks), [{"client_id": client_id, "cidr": cidr} for cidr in cidrs])

    def _changed_since(self, version: int) -> Iterable[str]:
        with self._database.reading() as connection:
            return list(
                connection.execute(select(clients.c.client_id).where(clients.c.version > version)).scalars()
            )
