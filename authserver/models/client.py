"""Clients, their secrets, and the resource servers that authenticate as clients."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Integer, String, false, true
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base

# a deleted client keeps its id for ever, and nothing else
STATES = ("pending", "active", "suspended", "deleted")


class Client(Base):
    """A registered client (RFC 7591 §2 metadata under its names). ``version`` drives the caches."""

    __tablename__ = "client"

    client_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    client_name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    token_endpoint_auth_method: Mapped[str] = mapped_column(String(40))
    grant_types: Mapped[list[str]] = mapped_column(JSON)
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    profile: Mapped[str] = mapped_column(String(40))
    # web or native (OpenID Connect Registration §2): native ones alone may use any loopback port
    application_type: Mapped[str] = mapped_column(String(10), server_default="web")
    # false only where an operator said so (design §15)
    require_pkce: Mapped[bool] = mapped_column(Boolean, server_default=true())
    # the types of authorization details it may ask for (RFC 9396 §10)
    authorization_details_types: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    # what signs its ID tokens
    id_token_alg: Mapped[str] = mapped_column(String(10), server_default="ES256")
    # what signs its UserInfo answers; null: they are plain JSON
    userinfo_alg: Mapped[str | None] = mapped_column(String(10))
    # public or pairwise (OpenID Connect Core §8); the sector is a host, and stays when addresses change
    subject_type: Mapped[str] = mapped_column(String(10), server_default="public")
    sector: Mapped[str | None] = mapped_column(String(255))
    sector_identifier_uri: Mapped[str | None] = mapped_column(String(2048))
    # jwt (RFC 9068) or opaque
    access_token_format: Mapped[str] = mapped_column(String(10), server_default="jwt")
    # where a login at this client begins (OpenID Connect Core §4)
    initiate_login_uri: Mapped[str | None] = mapped_column(String(2048))
    # its public keys (RFC 7591 §2): by value, or where they are published; never both
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    jwks_uri: Mapped[str | None] = mapped_column(String(2048))
    # where its people may go once they are signed out (OpenID Connect RP-Initiated Logout §3.1)
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    # where it hears of that (OpenID Connect Back-Channel Logout §2.2)
    backchannel_logout_uri: Mapped[str | None] = mapped_column(String(2048))
    backchannel_logout_session_required: Mapped[bool] = mapped_column(Boolean, server_default=false())
    # the one algorithm of its assertions; null: any that is known here
    token_endpoint_auth_signing_alg: Mapped[str | None] = mapped_column(String(10))
    # seconds: what max_age is where a request has none (OpenID Connect Registration §2)
    default_max_age: Mapped[int | None] = mapped_column(Integer)
    tier: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger, index=True)


class ClientSecret(Base):
    """One secret of a client as an Argon2id hash; two may live while a partner changes over."""

    __tablename__ = "client_secret"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), index=True)
    hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)


class ResourceServer(Base):
    """A payment API: the audience of its tokens and the client as which it asks about them."""

    __tablename__ = "resource_server"

    audience: Mapped[str] = mapped_column(String(300), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), unique=True)
    # the algorithm that signs its access tokens; null takes the setting
    signing_alg: Mapped[str | None] = mapped_column(String(10))
