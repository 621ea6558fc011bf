"""The audit log: events in a chain, the chain's head, and signed checkpoints of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base

# SQLite counts up by itself only for a column of exactly this type
Counter = BigInteger().with_variant(Integer, "sqlite")


class AuditEvent(Base):
    """One event. Inserted with its ``mac``; ``seq`` and ``hash`` come with sealing.

    Of a row with a ``user_id``, address and what else is personal is in ``detail`` under that person's key.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index(
            "ix_audit_event_unsealed",
            "id",
            sqlite_where=text("seq IS NULL"),
            postgresql_where=text("seq IS NULL"),
        ),
        # what concerns a person, for that person; rows of machines are not in it
        Index(
            "ix_audit_event_person",
            "user_id",
            "id",
            sqlite_where=text("user_id <> ''"),
            postgresql_where=text("user_id <> ''"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    event: Mapped[str] = mapped_column(String(60))
    outcome: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(60))
    user_id: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[str] = mapped_column(String(128))
    actor: Mapped[str] = mapped_column(String(128))
    client_ip: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[str] = mapped_column(String(64))
    resource: Mapped[str] = mapped_column(String(200))
    worker: Mapped[str] = mapped_column(String(80))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    mac: Mapped[str] = mapped_column(String(80))
    seq: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    hash: Mapped[str | None] = mapped_column(String(64))


class AuditHead(Base):
    """The one row that says where the chain ends, under a MAC: cutting the newest rows shows."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    mac: Mapped[str] = mapped_column(String(80))


class AuditCheckpoint(Base):
    """A signed statement of sequence number and hash, also kept outside the database if so set."""

    __tablename__ = "audit_checkpoint"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger)
    jws: Mapped[str] = mapped_column(Text)
