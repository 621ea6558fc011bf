"""Setting a password by a single-use link: the first one, and a new one for one that was lost."""

from __future__ import annotations

from ..users import Links
from .mfa import Mfa
from .password import PasswordHasher
from .password_rules import PasswordRules


class PasswordReset:
    """Sets a password that was judged (``PasswordRules``), and spends the link."""

    def __init__(self, links: Links, hasher: PasswordHasher, mfa: Mfa, rules: PasswordRules) -> None:
        self._links = links
        self._hasher = hasher
        self._mfa = mfa
        self._rules = rules

    def set(self, token: str, password: str) -> bool:
        """The owner of the link has this password; False if the link was spent meanwhile.

        Refused, and the link not spent, if it was theirs before and they are staff.

        It changes nothing about second factors. Whoever has one stays locked if they are: else who reads
        somebody's mails would have five more guesses at it for each link.
        """
        owner = self._links.look(token)
        if owner is None:
            return False
        with self._hasher.place():
            self._rules.never_again(owner, password)
            hash_ = self._hasher.hash(password)
        user = self._links.look(token)
        if user is None:
            return False
        unlocks = not self._mfa.factors(user.user_id).strong
        return self._links.redeem(token, hash_, unlocks=unlocks) is not None
