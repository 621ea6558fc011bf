"""Signing keys through their life: next, active, retired, revoked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class SigningKey(Base):
    """A key pair; the private half is sealed and is erased when the key leaves the JWKS."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    alg: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10))
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSON)
    sealed_private_jwk: Mapped[str | None] = mapped_column(Text)
    published_at: Mapped[int] = mapped_column(BigInteger)
    activated_at: Mapped[int | None] = mapped_column(BigInteger)
    retired_at: Mapped[int | None] = mapped_column(BigInteger)
    # when a retired key leaves the JWKS: its last token has expired by then
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
