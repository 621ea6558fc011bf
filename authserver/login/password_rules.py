"""Judging the password that a person wants to have, wherever they set it."""

from __future__ import annotations

from ..audit import Audit, Entry, Event
from ..config import Settings
from ..texts import Text
from ..users import UserRecord
from . import password_policy
from .breached import BreachedPasswords


class PasswordRules:
    """Says what is wrong with a new password, in words for the person."""

    def __init__(self, audit: Audit, settings: Settings, breached: BreachedPasswords) -> None:
        self._breached = breached
        self._audit = audit
        self._service = settings.operator_name

    def outdated(self, password: str) -> bool:
        """Whether the password of somebody who logs in must be changed, having become known elsewhere."""
        return password in self._breached

    def fault(self, user: UserRecord, password: str, again: str, current: str | None = None) -> Text | None:
        """What is wrong with the new password; None if it may be set.

        ``current`` is what was typed as the password that it is to follow, judged or not.
        """
        if password != again:
            return password_policy.DIFFERENT
        if password == current:
            return password_policy.SAME
        own = (user.username, user.email or "", user.name, self._service, "authserver")
        found = password_policy.fault(password, own)
        if found is None and password in self._breached:
            found = password_policy.BREACHED
        if found is not None:
            self._audit.record(Entry(Event.PASSWORD_REJECTED, "denied", "policy", user_id=user.user_id))
        return found
