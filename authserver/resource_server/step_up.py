"""How, and how lately, a person must have proved who they are for a request (RFC 9470)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from .access_token import AccessToken
from .errors import InsufficientAuthentication

_NAME = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True)
class Authentication:
    """What a request demands: one of `acr_values` reached, the best one first, within `max_age` seconds.

    Either may be left out, not both. Clocks may differ by `leeway` seconds.
    """

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    leeway: int = 5
    clock: Callable[[], float] = time

    def __post_init__(self) -> None:
        if not self.acr_values and self.max_age is None:
            raise ValueError("a step-up demands acr_values, max_age, or both")
        if not all(_NAME.fullmatch(value) for value in self.acr_values):
            raise ValueError("acr_values are printable ASCII without spaces, quotes and backslashes")
        if self.max_age is not None and self.max_age < 0:
            raise ValueError("max_age is in seconds, 0 or more")

    def check(self, token: AccessToken) -> None:
        """Hold the token to it; InsufficientAuthentication otherwise, also where the token tells nothing."""
        strong = not self.acr_values or token.acr in self.acr_values
        if not strong or not self._recent(token):
            raise InsufficientAuthentication(self.acr_values, self.max_age)

    def _recent(self, token: AccessToken) -> bool:
        if self.max_age is None:
            return True
        return token.auth_time is not None and self.clock() - token.auth_time <= self.max_age + self.leeway
