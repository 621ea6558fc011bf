"""The rooms of second factors, put together: what people prove besides a password, and for payments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import crypto
from .login import (
    DeviceTrust,
    EmailOtp,
    FactorChanges,
    LoginLimits,
    Mfa,
    Policy,
    Risk,
    Sessions,
    Staff,
    UnusedAccounts,
    webauthn,
)
from .login.email_otp import Rooms as OtpRooms
from .login.factor_changes import Rooms as ChangeRooms
from .login.mfa import Rooms as MfaRooms
from .login.passkey_changes import PasskeyChanges
from .login.payment_factors import PaymentFactors
from .login.payment_factors import Rooms as PaymentRooms
from .login.risk.assessment import Rooms as RiskRooms
from .login.risk.verdict import Person
from .login.webauthn import PasskeyLogin
from .users import Attempts, UserRecord, Users

if TYPE_CHECKING:
    from .audit import Audit
    from .config import Settings
    from .db import Database
    from .mail import Mail
    from .throttle import Throttle


@dataclass(frozen=True)
class FactorRooms:
    """Second factors, changes of them, passkeys and approvals of payments."""

    mfa: Mfa
    factor_changes: FactorChanges
    passkeys: webauthn.Passkeys
    passkey_changes: PasskeyChanges
    payment_factors: PaymentFactors
    email_otp: EmailOtp
    device_trust: DeviceTrust
    risk: Risk


@dataclass(frozen=True)
class Below:
    """The rooms that they rest on."""

    settings: Settings
    master: crypto.MasterKeys
    database: Database
    audit: Audit
    mail: Mail
    users: Users
    sessions: Sessions
    login_limits: LoginLimits
    throttle: Throttle


def build(below: Below) -> FactorRooms:
    """The rooms of second factors."""
    settings, database, audit, sessions = below.settings, below.database, below.audit, below.sessions
    tell = below.mail.queue_in
    credentials = webauthn.Credentials(database)
    party = webauthn.RelyingParty.of(settings.issuer, settings.operator_name)
    assertions = webauthn.Assertions(database, below.users, audit, party, tell)
    policy = webauthn.AttestationPolicy.read(
        settings.attestation, settings.attestation_aaguids, settings.attestation_roots
    )
    registrations = webauthn.Registrations(database, audit, party, policy)
    unused = UnusedAccounts(database, below.users, Staff(settings))
    login = PasskeyLogin(database, assertions, sessions, below.login_limits, audit, unused)
    mfa = Mfa(
        database,
        below.master,
        below.users,
        sessions,
        MfaRooms(Policy.read(settings.factor_policy), below.login_limits, audit, credentials, tell),
    )
    changes = FactorChanges(
        database,
        below.master,
        mfa,
        sessions,
        ChangeRooms(audit, tell, credentials, settings.operator_name),
    )
    passkeys = webauthn.Passkeys(assertions, registrations, credentials, login)
    email_otp = EmailOtp(
        database,
        below.master,
        below.mail,
        OtpRooms(below.users, sessions, below.login_limits, below.throttle, audit),
    )
    devices = DeviceTrust(database, below.master, audit, settings.device_trust_days)
    approving = PaymentRooms(mfa, sessions, assertions, Attempts(database), audit)
    return FactorRooms(
        mfa,
        changes,
        passkeys,
        PasskeyChanges(database, below.users, sessions, changes, passkeys),
        PaymentFactors(approving, settings.payment_sca),
        email_otp,
        devices,
        _risk(below, mfa, email_otp, devices),
    )


def _risk(below: Below, mfa: Mfa, email_otp: EmailOtp, devices: DeviceTrust) -> Risk:
    """The room that judges sign-ins by risk."""

    def person(user: UserRecord) -> Person:
        return Person(mfa.factors(user.user_id).highest, bool(email_otp.channels(user)))

    rooms = RiskRooms(devices, below.login_limits, below.audit, person, below.mail.queue_in)
    return Risk(below.settings, below.database, below.master, rooms)
