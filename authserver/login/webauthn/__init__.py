"""Passkeys and security keys (Web Authentication Level 3): registering them, and proving oneself by them."""

from __future__ import annotations

from dataclasses import dataclass

from ...audit import Audit
from ...config import Settings
from ...db import Database
from ...users import Users
from ..factor_changes import FactorChanges
from ..limits import LoginLimits
from ..mfa import Tell
from ..session import Sessions
from .assertions import Assertion, Assertions
from .attestation import AttestationPolicy
from .challenges import Ceremony, Purpose
from .changes import PasskeyChanges
from .credentials import Credential, Credentials
from .passkey_login import KnownDevice, PasskeyLogin
from .registrations import Registrations
from .relying_party import RelyingParty

__all__ = [
    "Assertion",
    "Ceremony",
    "Credential",
    "Credentials",
    "KnownDevice",
    "Passkeys",
    "Purpose",
    "Rooms",
]


@dataclass(frozen=True)
class Rooms:
    """What passkeys need besides: people, their sessions and other factors, the log, and mails to them."""

    users: Users
    sessions: Sessions
    changes: FactorChanges
    limits: LoginLimits
    audit: Audit
    tell: Tell


@dataclass(frozen=True)
class Passkeys:
    """The rooms of passkeys and security keys."""

    assertions: Assertions
    credentials: Credentials
    login: PasskeyLogin
    changes: PasskeyChanges

    @classmethod
    def of(cls, settings: Settings, database: Database, rooms: Rooms) -> Passkeys:
        """Those of the issuer of ``settings``."""
        party = RelyingParty.of(settings.issuer, settings.operator_name)
        policy = AttestationPolicy.read(
            settings.webauthn_attestation, settings.webauthn_aaguids, settings.webauthn_roots
        )
        assertions = Assertions(database, rooms.users, rooms.audit, party, rooms.tell)
        return cls(
            assertions,
            Credentials(database),
            PasskeyLogin(database, assertions, rooms.sessions, rooms.limits, rooms.audit),
            PasskeyChanges(database, Registrations(database, rooms.audit, party, policy), rooms.changes),
        )
