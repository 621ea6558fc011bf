"""What a person may have changed or ended about their data, and the key that it ends with."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class PersonKey(Base):
    """The key under which audit rows hold what is personal. The row outlives it: nobody gets a second one."""

    __tablename__ = "person_key"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    # under a master key, bound to user_id; null once it is destroyed
    sealed: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    destroyed_at: Mapped[int | None] = mapped_column(BigInteger)


class ErasureRequest(Base):
    """A person wants to be erased, and has until ``due_at`` to think better of it."""

    __tablename__ = "erasure_request"

    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), primary_key=True)
    requested_at: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[int] = mapped_column(BigInteger, index=True)


class EmailChange(Base):
    """An address that a person wants to have, until a link that was mailed there shows that it is theirs."""

    __tablename__ = "email_change"

    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), primary_key=True)
    # of the link's token
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    email: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
