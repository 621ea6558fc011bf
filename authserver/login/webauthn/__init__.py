"""Passkeys and security keys (Web Authentication Level 3): registering them, and proving oneself by them."""

from __future__ import annotations

from dataclasses import dataclass

from .assertions import Assertion, Assertions, Tell
from .attestation import AttestationPolicy
from .challenges import Ceremony, Challenges, Purpose
from .credentials import Credential, Credentials
from .passkey_login import KnownDevice, PasskeyLogin
from .refusal import Refused
from .registrations import Registrations
from .relying_party import RelyingParty

__all__ = [
    "Assertion",
    "Assertions",
    "AttestationPolicy",
    "Ceremony",
    "Challenges",
    "Credential",
    "Credentials",
    "KnownDevice",
    "PasskeyLogin",
    "Passkeys",
    "Purpose",
    "Refused",
    "Registrations",
    "RelyingParty",
    "Tell",
]


@dataclass(frozen=True)
class Passkeys:
    """The rooms of passkeys and security keys."""

    assertions: Assertions
    registrations: Registrations
    credentials: Credentials
    login: PasskeyLogin
