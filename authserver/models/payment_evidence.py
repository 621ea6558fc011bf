"""What proves that a person approved a payment, kept apart from the factor that they approved it with."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class PaymentEvidence(Base):
    """The evidence of one approved payment. It refers to nothing that could be deleted before it."""

    __tablename__ = "payment_evidence"
    __table_args__ = (Index("ix_payment_evidence_user_id_created_at", "user_id", "created_at"),)

    evidence_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gid: Mapped[str] = mapped_column(String(32), index=True)
    user_id: Mapped[str] = mapped_column(String(32))
    # webauthn, totp or exemption
    kind: Mapped[str] = mapped_column(String(16))
    # under a master key, bound to the rest of the row: JSON of what oauth.payment_evidence.Evidence has
    sealed: Mapped[str] = mapped_column(Text)
    # SHA-256 of what is sealed
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    # the amount in cents that was exempt as of low value, whose sums are bounded; null where none was
    exempt_cents: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    # as long as the payment may be disputed
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
