"""Second factors of people, but for their passkeys."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class TotpSecret(Base):
    """The secret of an authenticator app. It counts from ``confirmed_at`` on; until then it ends in time."""

    __tablename__ = "totp_secret"

    totp_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    # the session that began it, which alone may confirm it
    sid: Mapped[str] = mapped_column(String(32))
    # under a master key, bound to totp_id
    secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger, index=True)
    confirmed_at: Mapped[int | None] = mapped_column(BigInteger)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    # the highest time step that was used (RFC 6238 §5.2): it and those before are spent
    last_step: Mapped[int] = mapped_column(BigInteger)
    # wrong codes in a row; the hundredth ends it
    misses: Mapped[int] = mapped_column(server_default="0")


class RecoveryCode(Base):
    """A recovery code, as a digest over the person and 120 random bits."""

    __tablename__ = "recovery_code"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[int | None] = mapped_column(BigInteger)
