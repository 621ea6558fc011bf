"""Limits. Counting is Flask-Limiter's and limits'; whom a request counts for is decided here.

Before client authentication a request counts for its address, a failed one also for address and client
id together: never for a client id alone, or a stranger could use up a client's quota. After it the
client's tier counts. Quotas of addresses and tiers are leased in slices (``leased``), failures are looked
up now and then (``failures``), what people do (logging in, opening requests) is counted exactly (``exact``).
When Redis is gone a process counts for itself, a tenth as much or less: never open.
"""

from __future__ import annotations

import logging
import threading

from flask import Flask
from flask_limiter import Limiter
from sqlalchemy import select

from .. import clock, metrics
from ..audit import Audit, Entry, Event
from ..cache import Versions, Whole
from ..config import Settings
from ..db import Database, table_of
from ..errors import ProtocolError
from ..models.scope import RateTier
from ..texts import Text
from .exact import Exact
from .failures import Failures
from .leased import Leased
from .limit import Limit, Quota, Refusal, name_of, place_of
from .shared import TIMEOUTS, Lost, Shared

log = logging.getLogger(__name__)

FALLBACK_SHARE = 10
# however many workers there are, without Redis they allow half of a limit together
FALLBACK_SHARE_OF_WORKER = 2
ANY_ENDPOINT = "*"
# everybody
ALL = "*"


class Throttle:
    """The limits of one app, counted in Redis when it is set and in this process otherwise."""

    def __init__(self, settings: Settings, database: Database, versions: Versions, audit: Audit) -> None:
        self._shared = self._reach(settings.redis_url.get_secret_value())
        share = max(FALLBACK_SHARE, FALLBACK_SHARE_OF_WORKER * settings.workers)
        self._leased = Leased(self._shared, share)
        self._failures = Failures(self._shared, share)
        self._exact = Exact(self._shared, share)
        self._address = Limit.parse(settings.limit_address)
        self._address_failures = Limit.parse(settings.limit_address_failures)
        self._client_failures = Limit.parse(settings.limit_client_failures)
        self._database = database
        self._tiers = Whole(versions, "tiers", self._load_tiers)
        self._audit = audit
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()

    def _reach(self, redis: str) -> Shared | None:
        """Redis as all processes share it; no connection is made before something is counted."""
        if not redis:
            return None
        extension = Limiter(
            key_func=lambda: "unused",
            # an app of its own: on ours it would search for decorated limits at every request
            app=Flask("limits"),
            storage_uri=redis,
            storage_options=TIMEOUTS,
            strategy="sliding-window-counter",
            key_prefix="authserver/swc",
        )
        return Shared(extension.storage, self._tell)

    @property
    def shared(self) -> bool | None:
        """Whether all processes count together now; None when no Redis is set."""
        return None if self._shared is None else not self._shared.lost

    def restore(self) -> None:
        """Redis has what this process has counted, also when it has just come back with nothing; a job."""
        if self._shared is None:
            return
        try:
            # whether it has come back, or has forgotten everything, shows without a request, too
            self._shared.ask(lambda _: None)
            self._exact.restore()
            self._leased.restore()
        except Lost:
            return

    def before(self, endpoint: str, address: str) -> None:
        """The request may be read at all; ProtocolError 429 when its address sent or failed too often."""
        place = place_of(address)
        if not self._leased.take(self._address, "address", endpoint, place):
            self._refuse(Refusal(endpoint, f"{endpoint}_ip", self._address, place))
        if not self._failures.room(self._address_failures, "failures", endpoint, place):
            self._refuse(Refusal(endpoint, f"{endpoint}_ip", self._address_failures, place))

    def guessing(self, endpoint: str, address: str, client_id: str) -> None:
        """The address may still try the client's credentials; ProtocolError 429 after too many wrong ones."""
        place, limit, client_id = place_of(address), self._client_failures, name_of(client_id)
        if not self._failures.room(limit, "client", endpoint, place, client_id):
            reason = f"{endpoint}_client_failures"
            self._refuse(Refusal(endpoint, reason, limit, place, client_id, error="invalid_client"))

    def failed(self, endpoint: str, address: str, client_id: str = "") -> None:
        """A refused request counts against its address, and with its client id if it named one."""
        place = place_of(address)
        self._failures.add(self._address_failures, "failures", endpoint, place)
        if client_id:
            self._failures.add(self._client_failures, "client", endpoint, place, name_of(client_id))

    def noticed(self, address: str) -> bool:
        """Whether a request that no endpoint reads is worth a row; a flood of junk must cost no writes."""
        place = place_of(address)
        if self._failures.add(self._address_failures, "failures", "http", place):
            return True
        metrics.limited.labels("http_ip").inc()
        if self.first(f"http_ip/{place}", self._address_failures.seconds):
            self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", "http_ip"))
        return False

    def take(self, limit: Limit, name: str, address: str | None = None) -> bool:
        """Whether one more of ``name`` is within ``limit``, for one address or, without one, for everybody.

        Counted before it is judged, in a window that begins with its first: never one too many.
        """
        return self._exact.add(limit, 1, name, ALL if address is None else place_of(address))

    def give_back(self, limit: Limit, name: str, address: str | None = None) -> None:
        """One that was taken does not count: it turned out well."""
        self._exact.add(limit, -1, name, ALL if address is None else place_of(address))

    def taken(self, limit: Limit, name: str, address: str) -> int:
        """How many of ``name`` count for the address now."""
        return self._exact.count(limit, name, place_of(address))

    def refuse(self, limit: Limit, reason: str, address: str) -> None:
        """What was refused is in the audit log, once a window for each reason and address."""
        metrics.limited.labels(reason).inc()
        if self.first(f"{reason}/{place_of(address)}", limit.seconds):
            self._audit.record(Entry(Event.RATELIMIT_HIT, "denied", reason))

    def after(self, endpoint: str, client_id: str, tier: str) -> Quota:
        """What the authenticated client has left; ProtocolError 429 when its tier is used up."""
        limit = self.limit_of(tier, endpoint)
        allowed, quota = self._leased.quota(limit, "tier", endpoint, client_id)
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

    def _tell(self, error: Exception | None) -> None:
        """Redis is lost, or is back: in the log, and at most once a minute each in the audit log."""
        if error is None:
            log.warning("limits are counted in Redis again")
        elif self.first("redis", 60):
            log.warning("limits are counted in this process alone: %s", type(error).__name__)
            # what is lost may be more than Redis: nobody waits for the row
            self._audit.record_late(Entry(Event.DEPENDENCY_FAILED, "failed", "redis"))

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
            # further ahead than that is none that this clock gave: it was set back
            if now < self._told.get(key, 0) <= now + seconds:
                return False
            if len(self._told) > 10_000:
                self._told = {k: until for k, until in self._told.items() if until > now}
                if len(self._told) > 10_000:
                    self._told.clear()
            self._told[key] = now + seconds
        return True
