"""Setting a password by a single-use link: the first one, and a new one for one that was lost."""

from __future__ import annotations

from ..users import Links
from .password import PasswordHasher


class PasswordReset:
    """Sets a password that was judged (``PasswordRules``), and spends the link."""

    def __init__(self, links: Links, hasher: PasswordHasher) -> None:
        self._links = links
        self._hasher = hasher

    def set(self, token: str, password: str) -> bool:
        """The owner of the link has this password; False if the link was spent meanwhile."""
        with self._hasher.place():
            hash_ = self._hasher.hash(password)
        return self._links.redeem(token, hash_) is not None
