"""Grants: what a person allows a client, across all its requests."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Grant(Base):
    """Remembered consent of one person to one client; one row a pair, which may end and begin again."""

    __tablename__ = "consent_grant"
    __table_args__ = (UniqueConstraint("user_id", "client_id"),)

    grant_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), index=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    # when it began, for the last time
    created_at: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[int] = mapped_column(BigInteger)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)
