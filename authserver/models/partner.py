"""Partners: the tokens by which they register clients, and what they registered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class InitialAccessToken(Base):
    """An initial access token (RFC 7591 §1.2) as a digest, and the policy for what is registered by it.

    The row stays when its time is over: the policy binds its clients for as long as they live.
    """

    __tablename__ = "initial_access_token"

    token_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    partner: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    grant_types: Mapped[list[str]] = mapped_column(JSON)
    auth_methods: Mapped[list[str]] = mapped_column(JSON)
    # exact host names, localhost, or an app's scheme with its colon
    redirect_hosts: Mapped[list[str]] = mapped_column(JSON)
    authorization_details_types: Mapped[list[str]] = mapped_column(JSON)
    # public, pairwise (OpenID Connect Core §8)
    subject_types: Mapped[list[str]] = mapped_column(JSON, server_default='["public", "pairwise"]')
    # of its clients' access tokens: jwt, opaque
    access_token_formats: Mapped[list[str]] = mapped_column(JSON, server_default='["jwt"]')
    # where its clients may call from; empty: everywhere
    networks: Mapped[list[str]] = mapped_column(JSON)
    profile: Mapped[str] = mapped_column(String(40))
    tier: Mapped[str] = mapped_column(String(40))
    # active, or pending until an operator approves
    client_state: Mapped[str] = mapped_column(String(16))
    # how many clients may still be registered; counts down by one UPDATE
    clients_left: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)


class ClientRegistration(Base):
    """A client that a partner registered: by which token, and what no request of it needs to know."""

    __tablename__ = "client_registration"

    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("initial_access_token.token_id"), index=True)
    # of the registration access token (RFC 7592 §1.2)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    # metadata for people, under the names of RFC 7591 §2
    described: Mapped[dict[str, Any]] = mapped_column(JSON)
    registered_at: Mapped[int] = mapped_column(BigInteger, index=True)
    updated_at: Mapped[int] = mapped_column(BigInteger)
