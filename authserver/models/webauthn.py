"""Passkeys and security keys of people, and the challenges that they answer."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class WebauthnCredential(Base):
    """A credential as it was registered (WebAuthn L3 §4, credential record). Its key is public."""

    __tablename__ = "webauthn_credential"

    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.user_id"), index=True)
    # a COSE_Key (RFC 9052 §7)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(2048))
    sign_count: Mapped[int] = mapped_column(BigInteger)
    backup_eligible: Mapped[bool] = mapped_column(Boolean)
    backed_up: Mapped[bool] = mapped_column(Boolean)
    # whether the authenticator finds it without being given its id (credProps)
    discoverable: Mapped[bool] = mapped_column(Boolean)
    aaguid: Mapped[str] = mapped_column(String(36))
    transports: Mapped[list[str]] = mapped_column(JSON)
    attestation_format: Mapped[str] = mapped_column(String(32))
    # whether a root of the attestation policy vouches for its authenticator
    attested: Mapped[bool] = mapped_column(Boolean)
    name: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    # since when it counts as possibly cloned, and signs nothing that is accepted
    flagged_at: Mapped[int | None] = mapped_column(BigInteger)


class WebauthnChallenge(Base):
    """A challenge, as a digest, of one ceremony of one browser. It is spent by whoever presents it first."""

    __tablename__ = "webauthn_challenge"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    # register, login, mfa or payment
    purpose: Mapped[str] = mapped_column(String(16))
    # the digest of the session's sid, or before a login of a cookie that this browser alone has
    binding: Mapped[bytes] = mapped_column(LargeBinary(32))
    # nobody's before a login without a user name
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_account.user_id"))
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    used_at: Mapped[int | None] = mapped_column(BigInteger)
