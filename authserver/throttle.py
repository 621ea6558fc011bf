"""Limits. Counting is Flask-Limiter's and limits'; whom a request counts for is decided here.

Before client authentication a request counts for its address, a failed one also for address and client
id together: never for a client id alone, or a stranger could use up a client's quota. After it the
client's tier counts. When Redis is gone a process counts for itself, a tenth as much: never open.
What people do (logging in, opening requests) is counted exactly, by ``take``.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import limits
from flask import Flask
from flask_limiter import Limiter
from limits.errors import StorageError
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from sqlalchemy import select

from . import clock, metrics
from .audit import Audit, Entry, Event
from .cache import Versions, Whole
from .config import Settings
from .counters import ProcessCounters
from .db import Database, table_of
from .errors import ProtocolError
from .ip_allowlist import parse_address
from .models.scope import RateTier
from .texts import Text

log = logging.getLogger(__name__)

FALLBACK_SHARE = 10
REDIS_TIMEOUTS: dict[str, Any] = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
# After a failure Redis is left alone for so long: a request asks it several times.
REDIS_PAUSE = 1.0
ANY_ENDPOINT = "*"
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
    def item(self, share: int = 1) -> limits.RateLimitItem:
        """The same for the counting library, divided by ``share`` but at least one."""
        return limits.RateLimitItemPerSecond(max(1, self.amount // share), self.seconds)


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


class Throttle:
    """The limits of one app, counted in Redis when it is set and in this process otherwise."""

    def __init__(self, settings: Settings, database: Database, versions: Versions, audit: Audit) -> None:
        redis = settings.redis_url.get_secret_value()
        self._extension = Limiter(
            key_func=lambda: "unused",
            # an app of its own: on ours it would search for decorated limits at every request
            app=Flask("limits"),
            storage_uri=redis or "process://",
            # its own errors alone mean that it is lost: not what is wrong with a request
            storage_options={**REDIS_TIMEOUTS, "wrap_exceptions": True} if redis else {},
            strategy="sliding-window-counter",
            key_prefix="authserver/swc",
        )
        memory = ProcessCounters()
        self._fallback = SlidingWindowCounterRateLimiter(memory)
        # (the shared one, the process's own)
        self._exact = (FixedWindowRateLimiter(self._extension.storage), FixedWindowRateLimiter(memory))
        self._lost_until = float("-inf")
        self._address = Limit.parse(settings.limit_address)
        self._address_failures = Limit.parse(settings.limit_address_failures)
        self._client_failures = Limit.parse(settings.limit_client_failures)
        self._database = database
        self._tiers = Whole(versions, "tiers", self._load_tiers)
        self._audit = audit
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()

    def before(self, endpoint: str, address: str) -> None:
        """The request may be read at all; ProtocolError 429 when its address sent or failed too often."""
        place = _place(address)
        if not self._hit(self._address, "address", endpoint, place):
            self._refuse(Refusal(endpoint, f"{endpoint}_ip", self._address, place))
        if not self._test(self._address_failures, "failures", endpoint, place):
            self._refuse(Refusal(endpoint, f"{endpoint}_ip", self._address_failures, place))

    def guessing(self, endpoint: str, address: str, client_id: str) -> None:
        """The address may still try the client's credentials; ProtocolError 429 after too many wrong ones."""
        place, limit, client_id = _place(address), self._client_failures, _name(client_id)
        if not self._test(limit, "client", endpoint, place, client_id):
            reason = f"{endpoint}_client_failures"
            self._refuse(Refusal(endpoint, reason, limit, place, client_id, error="invalid_client"))

    def failed(self, endpoint: str, address: str, client_id: str = "") -> None:
        """A refused request counts against its address, and with its client id if it named one."""
        place = _place(address)
        self._hit(self._address_failures, "failures", endpoint, place)
        if client_id:
            self._hit(self._client_failures, "client", endpoint, place, _name(client_id))

    def noticed(self, address: str) -> bool:
        """Whether a request that no endpoint reads is worth a row; a flood of junk must cost no writes."""
        place = _place(address)
        if self._hit(self._address_failures, "failures", "http", place):
            return True
        metrics.limited.labels("http_ip").inc()
        if self.first(f"http_ip/{place}", self._address_failures.seconds):
            self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", "http_ip"))
        return False

    def take(self, limit: Limit, name: str, address: str | None = None) -> bool:
        """Whether one more of ``name`` is within ``limit``, for one address or, without one, for everybody.

        Counted before it is judged, in a window that begins with its first: never one too many.
        """
        return bool(self._count_exactly(limit, name, address, 1) <= limit.amount)

    def give_back(self, limit: Limit, name: str, address: str | None = None) -> None:
        """One that was taken does not count: it turned out well."""
        self._count_exactly(limit, name, address, -1)

    def refuse(self, limit: Limit, reason: str, address: str) -> None:
        """What was refused is in the audit log, once a window for each reason and address."""
        metrics.limited.labels(reason).inc()
        if self.first(f"{reason}/{_place(address)}", limit.seconds):
            self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", reason))

    def after(self, endpoint: str, client_id: str, tier: str) -> Quota:
        """What the authenticated client has left; ProtocolError 429 when its tier is used up."""
        limit = self.limit_of(tier, endpoint)
        allowed = self._hit(limit, "tier", endpoint, client_id)
        reset, remaining = self._window(limit, "tier", endpoint, client_id)
        quota = Quota(limit, remaining, reset)
        if not allowed:
            refusal = Refusal(endpoint, f"{endpoint}_client", limit, "", client_id, headers=quota.headers())
            self._refuse(refusal)
        return quota

    def limit_of(self, tier: str, endpoint: str) -> Limit:
        """The limit of a tier at an endpoint, else the tier's own for any endpoint; closed if unknown."""
        tiers = self._tiers.get()
        return tiers.get((tier, endpoint)) or tiers.get((tier, ANY_ENDPOINT)) or Limit(1, 60)

    def _load_tiers(self) -> dict[tuple[str, str], Limit]:
        with self._database.reading() as connection:
            found = connection.execute(select(table_of(RateTier))).mappings().all()
        return {(row["tier"], row["endpoint"]): Limit(row["amount"], row["seconds"]) for row in found}

    def _hit(self, limit: Limit, *key: str) -> bool:
        return bool(self._count("hit", limit, *key))

    def _test(self, limit: Limit, *key: str) -> bool:
        return bool(self._count("test", limit, *key))

    def _window(self, limit: Limit, *key: str) -> tuple[int, int]:
        stats = self._count("get_window_stats", limit, *key)
        return max(0, round(stats.reset_time - clock.now())), max(0, stats.remaining)

    def _count(self, what: str, limit: Limit, *key: str) -> Any:
        if clock.monotonic() >= self._lost_until:
            try:
                return getattr(self._extension.limiter, what)(limit.item(), *key)
            except StorageError as error:
                self._lost(error)
        return getattr(self._fallback, what)(limit.item(FALLBACK_SHARE), *key)

    def _count_exactly(self, limit: Limit, name: str, address: str | None, amount: int) -> int:
        key = ("exact", name, "*" if address is None else _place(address))
        shared, own = self._exact
        if clock.monotonic() >= self._lost_until:
            try:
                return _add(shared, limit.item(), key, amount)
            except StorageError as error:
                self._lost(error)
        # so that the own, stricter count refuses where the limit itself would
        strict = limit.item(FALLBACK_SHARE)
        return _add(own, strict, key, amount) + limit.amount - strict.amount

    def _lost(self, error: Exception) -> None:
        self._lost_until = clock.monotonic() + REDIS_PAUSE
        metrics.dependency_failures.labels("redis").inc()
        if self.first("redis", 60):
            log.warning("limits are counted in this process alone: %s", type(error).__name__)
            self._audit.record(Entry(Event.DEPENDENCY_FAILED, "failed", "redis"))

    def _refuse(self, refusal: Refusal) -> None:
        metrics.limited.labels(refusal.reason).inc()
        if self.first(f"{refusal.reason}/{refusal.place}/{refusal.client_id}", refusal.limit.seconds):
            detail = {"endpoint": refusal.endpoint}
            entry = Entry(
                Event.RATELIMIT_HIT, "denied", refusal.reason, client_id=refusal.client_id, detail=detail
            )
            self._audit.record(entry)
        raise ProtocolError(
            refusal.error,
            Text("Too many requests. Wait as long as Retry-After says."),
            event="",  # written above, once a window: a flood of requests is not a flood of rows
            reason=refusal.reason,
            status=429,
            headers=[("Retry-After", str(refusal.limit.seconds)), *refusal.headers],
            client_id=refusal.client_id,
        )

    def first(self, key: str, seconds: int) -> bool:
        """Whether ``key`` was not told about in the last ``seconds``."""
        now = clock.now()
        with self._lock:
            if self._told.get(key, 0) > now:
                return False
            if len(self._told) > 10_000:
                self._told = {k: until for k, until in self._told.items() if until > now}
                if len(self._told) > 10_000:
                    self._told.clear()
            self._told[key] = now + seconds
        return True


def _add(limiter: FixedWindowRateLimiter, item: limits.RateLimitItem, key: Sequence[str], amount: int) -> int:
    return int(limiter.storage.incr(item.key_for(*key), item.get_expiry(), amount=amount))


def _name(client_id: str) -> str:
    """A client id, or what a stranger sent for one, as a part of a key: bounded, plain ASCII."""
    return ascii(client_id[:MAX_ID])[1:-1]


@lru_cache(maxsize=4096)
def _place(address: str) -> str:
    """What an address counts as: IPv6 by /64, since a caller has all of it. Never empty."""
    parsed = parse_address(address)
    if parsed is None:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
