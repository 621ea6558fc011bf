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

    # rules of who must prove how much (docs/second-factors.md): a TOML file
    factor_policy: Path | None = None

    # which passkeys may be registered: any, or those of `webauthn_aaguids` that a certificate in the PEM file
    # `webauthn_roots` vouches for
    webauthn_attestation: Literal["none", "direct"] = "none"
    webauthn_aaguids: tuple[str, ...] = ()
    webauthn_roots: Path | None = None

    # the second factor of payments; none is for demonstrations, where nobody's money moves
    payment_sca: Literal["none"] = "none"
