"""Authentication context classes (OpenID Connect Core §2, ``acr``): a ladder, each step above the one before.

A login that reached a step has reached all steps below it.
"""

from __future__ import annotations

from collections.abc import Iterable

PASSWORD = "urn:authserver:acr:password"  # noqa: S105 - the name of a class of logins
MFA = "urn:authserver:acr:mfa"
# a phishing-resistant factor (OpenID Connect Extended Authentication Profile ACR Values §2)
PHISHING_RESISTANT = "phr"
LADDER = (PASSWORD, MFA, PHISHING_RESISTANT)


def reachable(highest: str = LADDER[-1]) -> tuple[str, ...]:
    """The steps up to ``highest``, the lowest first."""
    return LADDER[: _height(highest) + 1]


def met(reached: str, wanted: Iterable[str]) -> str | None:
    """The highest of ``wanted`` that a login at ``reached`` has; None if it has none of them."""
    below = reachable(reached)
    return max((step for step in wanted if step in below), key=_height, default=None)


def reaches(reached: str, demand: str) -> bool:
    """Whether a login at ``reached`` is at ``demand`` or above; an empty demand is always reached."""
    return _height(reached) >= _height(demand)


def highest(*steps: str) -> str:
    """The highest of ``steps``; an empty one is below all."""
    return max(steps, key=_height)


def _height(step: str) -> int:
    """The place of ``step``; below all others if it is none of ours."""
    return LADDER.index(step) if step in LADDER else -1
