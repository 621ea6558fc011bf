"""The tables of clients, and how their rows become a record."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from .. import jwks
from ..db import Database, table_of
from ..ip_allowlist import Allowlist
from ..models.client import Client, ClientSecret, ResourceServer
from ..models.network import ClientNetwork
from .record import ClientRecord

clients = table_of(Client)
secrets = table_of(ClientSecret)
networks = table_of(ClientNetwork)
resource_servers = table_of(ResourceServer)


def living(client_id: str) -> ColumnElement[bool]:
    """The client of an id that was not deleted."""
    return (clients.c.client_id == client_id) & (clients.c.state != "deleted")


def load(database: Database, client_id: str) -> ClientRecord | None:
    """The client of ``client_id`` as its rows say now; None if there is none. Four queries."""
    with database.reading() as connection:
        row = connection.execute(select(clients).where(living(client_id))).mappings().one_or_none()
        if row is None:
            return None
        held = connection.execute(
            select(secrets.c.hash, secrets.c.expires_at)
            .where(secrets.c.client_id == client_id)
            .order_by(secrets.c.id.desc())
        ).all()
        cidrs = connection.execute(select(networks.c.cidr).where(networks.c.client_id == client_id)).scalars()
        networks_ = tuple(sorted(cidrs))
        audience = connection.execute(
            select(resource_servers.c.audience).where(resource_servers.c.client_id == client_id)
        ).scalar()
    return ClientRecord(
        client_id=row["client_id"],
        client_name=row["client_name"],
        state=row["state"],
        token_endpoint_auth_method=row["token_endpoint_auth_method"],
        grant_types=frozenset(row["grant_types"]),
        redirect_uris=tuple(row["redirect_uris"]),
        scopes=frozenset(row["scopes"]),
        profile=row["profile"],
        tier=row["tier"],
        version=row["version"],
        secrets=tuple((secret.hash, secret.expires_at) for secret in held),
        allowlist=Allowlist(networks_),
        networks=networks_,
        audience=audience,
        application_type=row["application_type"],
        require_pkce=row["require_pkce"],
        authorization_details_types=frozenset(row["authorization_details_types"]),
        id_token_alg=row["id_token_alg"],
        keys=jwks.parse(row["jwks"]) if row["jwks"] is not None else (),
        jwks_uri=row["jwks_uri"],
        post_logout_redirect_uris=tuple(row["post_logout_redirect_uris"]),
        backchannel_logout_uri=row["backchannel_logout_uri"],
        backchannel_logout_session_required=row["backchannel_logout_session_required"],
        assertion_alg=row["token_endpoint_auth_signing_alg"],
        default_max_age=row["default_max_age"],
        userinfo_alg=row["userinfo_alg"],
        subject_type=row["subject_type"],
        sector=row["sector"] or "",
        sector_identifier_uri=row["sector_identifier_uri"],
        access_token_format=row["access_token_format"],
        initiate_login_uri=row["initiate_login_uri"],
    )
