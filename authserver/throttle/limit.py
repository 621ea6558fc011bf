"""Limits as values, and for whom a request counts."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import limits

from ..counters import Key
from ..ip_allowlist import parse_address

# no client id is longer; what a stranger sends may be
MAX_ID = 128


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` requests in ``seconds``."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """A limit from ``count/seconds``."""
        amount, _, seconds = text.partition("/")
        return cls(int(amount), int(seconds))

    @lru_cache(maxsize=1024)  # noqa: B019 - limits are few, and values
    def item(self) -> limits.RateLimitItem:
        """The same for the counting library."""
        return limits.RateLimitItemPerSecond(self.amount, self.seconds)

    def key(self, *parts: str) -> Key:
        """What is counted under this limit, as a process names it."""
        return (self.amount, self.seconds, *parts)

    def strict(self, share: int) -> int:
        """What one process allows by itself: a ``share``-th, but one."""
        return max(1, self.amount // share)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a client has left of its tier at an endpoint; ``reset`` in seconds from now."""

    limit: Limit
    remaining: int
    reset: int

    def headers(self) -> list[tuple[str, str]]:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10)."""
        return [
            ("RateLimit-Policy", f'"tier";q={self.limit.amount};w={self.limit.seconds}'),
            ("RateLimit", f'"tier";r={self.remaining};t={self.reset}'),
        ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request over a limit: where, which limit, and for whom it was counted."""

    endpoint: str
    reason: str
    limit: Limit
    place: str
    client_id: str = ""
    error: str = "temporarily_unavailable"
    headers: Sequence[tuple[str, str]] = ()


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """What an address counts as: IPv6 by /64, since a caller has all of it. Never empty."""
    parsed = parse_address(address)
    if parsed is None:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def name_of(client_id: str) -> str:
    """A client id, or what a stranger sent for one, as a part of a key: bounded, plain ASCII."""
    return ascii(client_id[:MAX_ID])[1:-1]
