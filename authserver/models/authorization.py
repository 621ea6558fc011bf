"""Authorizations: a request on its way through the browser, and what came of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Interaction(Base):
    """A checked authorization request that waits for a person; under 4 kB, 15 minutes long.

    ``request`` is oauth.authorization_request.AuthorizationRequest as JSON. ``browser`` is the digest of
    the cookie of the first browser that resumed it. ``finished_at`` is set once, by one UPDATE.
    """

    __tablename__ = "interaction"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    browser: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    # the digest of the session that this browser had then, if any: another one since is a fresh login
    session_before: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    finished_at: Mapped[int | None] = mapped_column(BigInteger)


class Authorization(Base):
    """One completed request: the ``gid`` of its tokens. Ends as a whole, with all of them."""

    __tablename__ = "authorization"

    gid: Mapped[str] = mapped_column(String(32), primary_key=True)
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("consent_grant.grant_id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), index=True)
    # the session it stems from: logout ends it unless ``offline``
    sid: Mapped[str] = mapped_column(String(32), index=True)
    offline: Mapped[bool] = mapped_column(Boolean)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    # the audiences of its access tokens
    audience: Mapped[list[str]] = mapped_column(JSON)
    # as approved, debtor account included; null without any
    authorization_details: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    # whether a payment is among them: those are kept for longer
    pays: Mapped[bool] = mapped_column(Boolean, server_default=false())
    # single claims by member, userinfo or id_token (OpenID Connect Core §5.5); null without any
    claims: Mapped[dict[str, list[str]] | None] = mapped_column(JSON)
    acr: Mapped[str] = mapped_column(String(60))
    amr: Mapped[list[str]] = mapped_column(JSON)
    auth_time: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    # nothing is issued from it after this
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)


class AuthorizationCode(Base):
    """A code as a digest (RFC 6749 §4.1.2), bound to client, redirect URI and challenge; 60 s, once."""

    __tablename__ = "authorization_code"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    gid: Mapped[str] = mapped_column(ForeignKey("authorization.gid"), index=True)
    client_id: Mapped[str] = mapped_column(String(128))
    redirect_uri: Mapped[str] = mapped_column(Text)
    # S256 (RFC 7636 §4.2); null for a client that an operator registered without PKCE
    code_challenge: Mapped[str | None] = mapped_column(String(43))
    nonce: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[int | None] = mapped_column(BigInteger)
