"""Payees that people need not approve by a factor again."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class TrustedPayee(Base):
    """A payee whom a person trusts, with any amount or with one alone. It rests on after it was ended."""

    __tablename__ = "trusted_payee"
    __table_args__ = (Index("ix_trusted_payee_user_id_mac", "user_id", "mac"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"))
    # under a key of a master key, over person, account, name, and amount with currency where there is one
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    # under a master key: JSON of the payee's name and account, as the person read them
    sealed: Mapped[str] = mapped_column(Text)
    # the one amount that needs no factor; null for any
    amount: Mapped[str | None] = mapped_column(String(16))
    currency: Mapped[str | None] = mapped_column(String(3))
    # what proves that the person chose it with a factor; it is kept for as long as this row
    evidence_id: Mapped[str] = mapped_column(String(32), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    ended_at: Mapped[int | None] = mapped_column(BigInteger)
    # set when it ends: what was paid by it may be disputed for so long
    expires_at: Mapped[int | None] = mapped_column(BigInteger, index=True)
