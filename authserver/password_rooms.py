"""The rooms of passwords: their rules, logging in with one, changing and resetting it, accounts unused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .login import (
    PasswordChange,
    PasswordHasher,
    PasswordLogin,
    PasswordReset,
    PasswordRules,
    UnusedAccounts,
)
from .login.password_login import Rooms as LoginRooms

if TYPE_CHECKING:
    from .audit import Audit
    from .config import Settings
    from .db import Database
    from .login import LoginLimits, Mfa, Risk, Sessions, Staff
    from .mail import Mail
    from .users import Links, Users


@dataclass(frozen=True)
class PasswordRooms:
    """Rules, login, change and reset."""

    rules: PasswordRules
    unused_accounts: UnusedAccounts
    login: PasswordLogin
    reset: PasswordReset
    change: PasswordChange


@dataclass(frozen=True)
class Below:
    """The rooms that they rest on."""

    settings: Settings
    database: Database
    audit: Audit
    mail: Mail
    users: Users
    links: Links
    sessions: Sessions
    login_limits: LoginLimits
    mfa: Mfa
    risk: Risk
    staff: Staff


def build(below: Below) -> PasswordRooms:
    """The rooms of passwords."""
    database, users, sessions, limits = below.database, below.users, below.sessions, below.login_limits
    hasher = PasswordHasher(below.settings)
    rules = PasswordRules(database, hasher, below.mfa, below.staff, below.audit, below.settings)
    unused = UnusedAccounts(database, users, below.staff)
    login = LoginRooms(
        users, sessions, limits, below.audit, below.mfa.login_demand, below.risk, rules, unused
    )
    return PasswordRooms(
        rules,
        unused,
        PasswordLogin(database, hasher, login),
        PasswordReset(below.links, hasher, below.mfa, rules),
        PasswordChange(database, users, below.links, hasher, sessions, limits, below.mail.queue_in, rules),
    )
