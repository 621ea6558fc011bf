"""Settings of how people prove who they are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from .appearance import Appearance


class LoginSettings(Appearance):
    """Passwords, sessions, second factors; times in seconds."""

    argon2_memory_kib: int = Field(19456, ge=8)
    argon2_time_cost: int = Field(2, ge=1)
    argon2_parallelism: int = Field(1, ge=1)
    login_hash_concurrency: int = Field(2, ge=1)
    login_hash_queue: int = Field(32, ge=0)

    # PSD2 RTS art. 4(3)(d): five minutes without activity
    session_idle: int = Field(300, ge=30, le=3600)
    session_lifetime: int = Field(43_200, ge=300, le=86_400)
    sessions_per_user: int = Field(20, ge=1, le=1000)

    # passwords that were in breaches, as `authserver passwords import` writes them
    breached_passwords: Path | None = None

    # which authenticators may be registered: any, or those of these models that one of the roots vouches for
    attestation: Literal["none", "direct"] = "none"
    attestation_aaguids: tuple[str, ...] = ()
    # certificates that vouch for authenticators: a PEM file
    attestation_roots: Path | None = None

    # rules of who must prove how much (docs/configuration.md): a TOML file
    factor_policy: Path | None = None

    # adaptive authentication (docs/risk.md): places by address (MaxMind's format), anonymising networks (one
    # a line), and what `authserver risk train` made; without a file its signals say "unknown"
    risk_geo_database: Path | None = None
    risk_anonymisers: Path | None = None
    risk_model: Path | None = None
    # points from which more is asked, from which only a phishing-resistant factor does, and nothing does
    risk_step_up: int = Field(40, ge=1, le=10_000)
    risk_strong: int = Field(70, ge=1, le=10_000)
    risk_deny: int = Field(130, ge=1, le=10_000)
    # how long sign-ins are remembered, and how long a device is known after it was last used; in days
    risk_history_days: int = Field(180, ge=7, le=730)
    device_trust_days: int = Field(90, ge=1, le=400)

    # groups whose people work here or for partners; PCI DSS 8 is for their passwords, not for customers'
    staff_groups: tuple[str, ...] = ("operators", "partners")
    # passkey_only: whoever of them has a passkey has no use of a password any more
    staff_passwords: Literal["pci_dss", "passkey_only"] = "pci_dss"

    # the factor that approves payments. totp lets a code of an authenticator app do, which is not bound to
    # amount and payee (PSD2 RTS art. 5(1)): for demonstrations
    payment_sca: Literal["webauthn", "totp"] = "webauthn"
    # whether payments of up to 30 EUR go without it (art. 16 there), until five or 100 EUR in a row
    sca_exempt_low_value: bool = False
    # whether payers may choose to go without it for a payee (art. 13), or one amount to a payee (art. 14)
    sca_exempt_trusted_payee: bool = False
    sca_exempt_recurring: bool = False
    # up to how many EUR payments like the payer's others go without it (art. 18), as the fraud rate allows
    sca_exempt_low_risk: Literal["", "100", "250", "500"] = ""


def attestation_refusals(settings: LoginSettings) -> list[str]:
    """Why passkeys would be registered otherwise than the settings seem to say, a sentence each."""
    direct = settings.attestation == "direct"
    if direct == bool(settings.attestation_aaguids) and direct == (settings.attestation_roots is not None):
        return []
    return [
        "AUTHSERVER_ATTESTATION=direct needs AUTHSERVER_ATTESTATION_AAGUIDS and AUTHSERVER_ATTESTATION_ROOTS "
        "and they count with it alone."
    ]
