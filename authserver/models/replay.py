"""Values that count once: assertion and proof identifiers, challenges, time steps."""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class Replay(Base):
    """A spent value of one ``purpose``, as a digest, kept as long as it could come again."""

    __tablename__ = "replay"

    purpose: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
