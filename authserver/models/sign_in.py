"""Sign-ins as risk is judged by, and the devices that people are known by. No address and no name is here."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class SignIn(Base):
    """A right password, how it was judged, and whether the sign-in was completed; coarse, and for a while.

    ``network``, ``wide`` and ``agent`` are keyed digests; positions are whole degrees.
    """

    __tablename__ = "sign_in"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"))
    at: Mapped[int] = mapped_column(BigInteger)
    network: Mapped[str] = mapped_column(String(22))
    wide: Mapped[str] = mapped_column(String(22))
    country: Mapped[str] = mapped_column(String(2))
    latitude: Mapped[int | None] = mapped_column(Integer)
    longitude: Mapped[int | None] = mapped_column(Integer)
    anonymising: Mapped[bool | None] = mapped_column(Boolean)
    # none, known or mismatch
    device: Mapped[str] = mapped_column(String(8))
    agent: Mapped[str] = mapped_column(String(22))
    client_id: Mapped[str] = mapped_column(String(128))
    # whole units of the currency; None where nothing was to be paid
    amount: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    account_failures: Mapped[int] = mapped_column(Integer)
    address_failures: Mapped[int] = mapped_column(Integer)
    neighbours: Mapped[int] = mapped_column(Integer)
    # allow, step_up, confirm or deny
    verdict: Mapped[str] = mapped_column(String(8))
    points: Mapped[int] = mapped_column(Integer)
    # the session that it started; empty if none
    sid: Mapped[str] = mapped_column(String(32), index=True)
    # when the person had proved all that was asked; only then it is part of their history
    completed_at: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (
        Index("ix_sign_in_user_id", "user_id", "completed_at"),
        Index("ix_sign_in_network", "network", "at"),
    )


class TrustedDevice(Base):
    """A browser that a person completed a sign-in with: a MAC over its cookie and the person is its key."""

    __tablename__ = "trusted_device"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    # what lists and forms name it by; it opens nothing
    device_id: Mapped[str] = mapped_column(String(32), unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    user_agent: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_seen_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
