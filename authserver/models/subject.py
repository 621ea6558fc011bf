"""The key of pairwise subjects (OpenID Connect Core §8.1)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class SubjectKey(Base):
    """One row for good: 256 random bits, sealed. Without them nobody is known again to any client."""

    __tablename__ = "subject_key"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
