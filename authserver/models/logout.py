"""Logout tokens on their way to clients (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class LogoutDelivery(Base):
    """One client that is to hear of the end of one session; gone once it has, or nobody will try again."""

    __tablename__ = "logout_delivery"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[str] = mapped_column(String(32))
    sid: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    # whoever claims it moves this on: until then nobody else tries
    due_at: Mapped[int] = mapped_column(BigInteger, index=True)
