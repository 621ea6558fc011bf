"""Messages on their way to people."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Outbox(Base):
    """One message to one person; gone once it has left, or nobody will try again.

    ``sealed`` holds the recipient and what the message says: codes and links never rest in the clear.
    """

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    channel: Mapped[str] = mapped_column(String(8))
    template: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(8))
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    # whoever claims it moves this on: until then nobody else tries
    due_at: Mapped[int] = mapped_column(BigInteger, index=True)
    # nobody wants it any more: a code's time is over, or a day has passed
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
