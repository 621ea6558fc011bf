"""What processes of one fleet share: cache versions and leases on background jobs."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base

CACHES = ("clients", "keys", "scopes", "tiers", "revocations", "users")


class CacheVersion(Base):
    """A number that rises with every change of what a cache named ``name`` holds."""

    __tablename__ = "cache_version"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


class Lease(Base):
    """Who runs a background job now, until when, and how its last run went."""

    __tablename__ = "lease"

    job: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    until_ms: Mapped[int] = mapped_column(BigInteger)
    last_run: Mapped[int | None] = mapped_column(BigInteger)
    last_error: Mapped[str | None] = mapped_column(String(200))
