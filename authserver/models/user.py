"""People: who may log in, and the single-use links by which they set a password."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base

STATES = ("invited", "active", "disabled", "erased")


class User(Base):
    """A person. ``username`` and ``email`` rest in the form that lookups use (users.normalise)."""

    __tablename__ = "user_account"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    username: Mapped[str] = mapped_column(String(128), unique=True)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    # what the policy of second factors knows them by
    groups: Mapped[list[str]] = mapped_column(JSON)
    password_hash: Mapped[str | None] = mapped_column(String(300))
    password_changed_at: Mapped[int | None] = mapped_column(BigInteger)
    # the last whole login, or when the account was given to use: staff who leave it unused lose it
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    # failures in a row over all factors; an attempt is counted before it is judged
    failures: Mapped[int] = mapped_column(Integer)
    locked_until: Mapped[int | None] = mapped_column(BigInteger, index=True)
    # the lock that the person was told of, by its end
    locked_told: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    # when the person showed that mails to ``email`` reach them; None since it was last changed
    email_verified_at: Mapped[int | None] = mapped_column(BigInteger)
    # E.164, for text messages
    phone: Mapped[str | None] = mapped_column(String(16))
    # in which messages are written: the one that the person last read pages in; empty before they did
    language: Mapped[str] = mapped_column(String(8), server_default="")
    # rises with every change; drives the caches
    version: Mapped[int] = mapped_column(BigInteger, index=True)


class PastPassword(Base):
    """The hash of a password that a member of the staff had before (PCI DSS 8.3.7)."""

    __tablename__ = "past_password"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    password_hash: Mapped[str] = mapped_column(String(300))
    # of those that ended in one second the higher one is the later
    number: Mapped[int] = mapped_column(BigInteger)


class UserLink(Base):
    """A single-use link, as a digest: ``enrol`` for a new account, ``reset`` for a lost password."""

    __tablename__ = "user_link"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    purpose: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    used_at: Mapped[int | None] = mapped_column(BigInteger)


class ResetRequest(Base):
    """A new password was asked for by a name, which rests sealed: whether it is anybody's a job finds out."""

    __tablename__ = "reset_request"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
