"""One-time codes that are sent to people by mail or text message."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class OneTimeCode(Base):
    """A code, as a MAC under a key that is not here: so few digits are no secret by their digest.

    It counts for one person, session and purpose until it ends: used, or followed by another.
    """

    __tablename__ = "one_time_code"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    sid: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(80))
    channel: Mapped[str] = mapped_column(String(8))
    mac: Mapped[str] = mapped_column(String(100))
    # at this code and those that it followed
    tries: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)
