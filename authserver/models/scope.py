"""Scopes and rate tiers: what operators edit while the server runs."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Scope(Base):
    """A scope value (RFC 6749 §3.3), the API that owns it, and a sentence for people."""

    __tablename__ = "scope"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    # null: a scope of the server itself, such as openid
    audience: Mapped[str | None] = mapped_column(ForeignKey("resource_server.audience"))
    description: Mapped[str] = mapped_column(String(300))
    # the same in other languages, by their tags
    translations: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}")
    # the type of authorization details without which no person is asked for it (RFC 9396 §3); null: none
    authorization_details_type: Mapped[str | None] = mapped_column(String(100))


class RateTier(Base):
    """How many requests a client of ``tier`` may send to ``endpoint`` in ``seconds``."""

    __tablename__ = "rate_tier"

    tier: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(40), primary_key=True)
    amount: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[int] = mapped_column(Integer)
