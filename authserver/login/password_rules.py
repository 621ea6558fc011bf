"""Judging the password that a person has or wants to have, wherever they use or set it."""

from __future__ import annotations

from .. import acr
from ..audit import Audit, Entry, Event
from ..config import Settings
from ..db import Database
from ..texts import Text
from ..users import UserRecord
from ..users.past_passwords import kept
from . import password_policy
from .breached import BreachedPasswords
from .mfa import Mfa
from .password import PasswordHasher
from .password_policy import Demands, Refused
from .session_view import SessionView
from .staff import Staff


class PasswordRules:
    """Says what is wrong with a password, in words for the person or a reason for the audit log."""

    def __init__(
        self,
        database: Database,
        hasher: PasswordHasher,
        mfa: Mfa,
        staff: Staff,
        audit: Audit,
        settings: Settings,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._mfa = mfa
        self.staff = staff
        self._audit = audit
        self._service = settings.operator_name
        self.breached = BreachedPasswords(settings.breached_passwords)

    def demands(self, user: UserRecord) -> Demands:
        """What is asked of the person's password: less where it never is all that a login needs."""
        with_mfa = acr.reaches(self._mfa.login_demand(user), acr.MFA)
        return Demands.of(with_mfa=with_mfa, staff=self.staff.has(user.groups))

    def may_change(self, session: SessionView) -> bool:
        """Whether the session may change the password: whoever has a second factor has just proved all of it.

        Otherwise an old proof would be made young by the password alone.
        """
        factors = self._mfa.factors(session.user_id)
        return not factors.strong or self._mfa.fresh(session, factors)

    def fault(self, user: UserRecord, password: str, again: str, current: str | None = None) -> Text | None:
        """What is wrong with the new password; None if it may be set.

        ``current`` is what was typed as the password that it is to follow, judged or not. Whether it was the
        person's before is for ``never_again``, once they have shown that they may know.
        """
        if password != again:
            return password_policy.DIFFERENT
        if password == current:
            return password_policy.SAME
        reason, found = "policy", self._policy_fault(user, password)
        if found is None and password in self.breached:
            reason, found = "breached", password_policy.BREACHED
        if found is not None:
            self._audit.record(Entry(Event.PASSWORD_REJECTED, "denied", reason, user_id=user.user_id))
        return found

    def never_again(self, user: UserRecord, password: str) -> None:
        """Refused if the password is among the last four of staff (PCI DSS 8.3.7).

        Call it in a ``place`` of the hasher and with no transaction open: it costs four hashes at most.
        """
        if not self.staff.has(user.groups) or user.password_hash is None:
            return
        last = [user.password_hash, *kept(self._database, user.user_id)]
        if any(self._hasher.verify(hash_, password) for hash_ in last):
            self._audit.record(Entry(Event.PASSWORD_REJECTED, "denied", "reused", user_id=user.user_id))
            raise Refused(password_policy.REUSED)

    def change_due(self, user: UserRecord, password: str) -> str:
        """Why the person must have another password than this, which is theirs; empty if they need not."""
        if password in self.breached:
            return "breached"
        return "too_weak" if self.demands(user).fault(password) else ""

    def login_refused(self, user: UserRecord) -> str:
        """Why the right password does not let the person in; empty if it does."""
        if self.staff.unused(user):
            return "unused"
        return "passkey_only" if self._has_passkey_only(user) else ""

    def _policy_fault(self, user: UserRecord, password: str) -> Text | None:
        if self._has_passkey_only(user):
            return password_policy.PASSKEY_ONLY
        own = (user.username, user.email or "", user.name, self._service, "authserver")
        return password_policy.fault(password, own, self.demands(user))

    def _has_passkey_only(self, user: UserRecord) -> bool:
        if not self.staff.passkey_only or not self.staff.has(user.groups):
            return False
        return self._mfa.factors(user.user_id).passkeys > 0
