"""Sessions of people's browsers: server-side, found by the digest of a cookie."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Session(Base):
    """A logged-in browser. ``sid`` names it in tokens and lists; the cookie's value is nowhere."""

    __tablename__ = "session"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    sid: Mapped[str] = mapped_column(String(32), unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    acr: Mapped[str] = mapped_column(String(60))
    amr: Mapped[list[str]] = mapped_column(JSON)
    # the acr that this login must reach before it counts; empty for any
    demand: Mapped[str] = mapped_column(String(60))
    # whether this device must be confirmed before it counts
    confirm: Mapped[bool] = mapped_column(Boolean)
    # whether the password must be changed before it counts
    change_password: Mapped[bool] = mapped_column(Boolean)
    auth_time: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_seen_at: Mapped[int] = mapped_column(BigInteger)
    # absolute; idle expiry is counted from last_seen_at
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)
    client_ip: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(256))
