"""Setting a password by a single-use link: the first one, and a new one for one that was lost."""

from __future__ import annotations

from ..audit import Audit, Entry, Event
from ..config import Settings
from ..users import Links, UserRecord
from . import password_policy
from .password import PasswordHasher


class PasswordReset:
    """Judges a new password and spends the link."""

    def __init__(self, links: Links, hasher: PasswordHasher, audit: Audit, settings: Settings) -> None:
        self._links = links
        self._hasher = hasher
        self._audit = audit
        self._service = settings.operator_name

    def fault(self, user: UserRecord, password: str, again: str) -> str | None:
        """What is wrong with the new password, in words for the person; None if it may be set."""
        if password != again:
            return password_policy.DIFFERENT
        own = (user.username, user.email or "", user.name, self._service, "authserver")
        found = password_policy.fault(password, own)
        if found is not None:
            self._audit.record(Entry(Event.PASSWORD_REJECTED, "denied", "policy", user_id=user.user_id))
        return found

    def set(self, token: str, password: str) -> bool:
        """The owner of the link has this password; False if the link was spent meanwhile."""
        with self._hasher.place():
            hash_ = self._hasher.hash(password)
        return self._links.redeem(token, hash_) is not None
