"""Refresh tokens, and the little that must be remembered of tokens that validate without a database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Revocation(Base):
    """One ended ``jti`` or ``gid``, kept until every token that it concerns has expired."""

    __tablename__ = "revocation"

    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    value: Mapped[str] = mapped_column(String(128), primary_key=True)
    revoked_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


class RefreshToken(Base):
    """A refresh token as a digest; the family is its ``gid``. A spent one that returns ends the family."""

    __tablename__ = "refresh_token"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    gid: Mapped[str] = mapped_column(ForeignKey("authorization.gid"), index=True)
    client_id: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    used_at: Mapped[int | None] = mapped_column(BigInteger)
    # when it was given out a second time: to a client that had lost the answer, or to a thief
    repeated_at: Mapped[int | None] = mapped_column(BigInteger)


class ReferenceToken(Base):
    """An opaque access token as a digest, with what a JWT in its place would say; gone when it expires."""

    __tablename__ = "reference_token"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    claims: Mapped[dict[str, Any]] = mapped_column(JSON)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
