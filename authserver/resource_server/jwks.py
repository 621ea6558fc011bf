"""The issuer's JWK Set, fetched seldom, by one thread, and kept through an outage (RFC 7517)."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from .errors import Unavailable
from .http import Answer, Bounds
from .issuer import Issuer
from .keys import VerificationKey, parse_jwks

_log = logging.getLogger(__name__)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])")


@dataclass(frozen=True)
class JwksPolicy:
    """How long keys count, in seconds.

    `shortest` and `longest` bound the issuer's max-age, `usual` stands in for a missing one;
    `stale` is how long known keys outlive their last confirmation while fetching fails;
    `unknown_kid` is the least time between two fetches caused by unknown key ids.
    """

    shortest: float = 30.0
    usual: float = 300.0
    longest: float = 900.0
    stale: float = 3600.0
    retry: float = 2.0
    unknown_kid: float = 10.0
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class _Held:
    keys: Mapping[str, VerificationKey]
    etag: str | None
    fresh_until: float
    usable_until: float


class JwksSource:
    """A key source over the issuer's `jwks_uri`, safe to share between threads."""

    def __init__(
        self,
        issuer: str | Issuer,
        *,
        policy: JwksPolicy | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._issuer = Issuer.of(issuer)
        self._policy = policy or JwksPolicy()
        self._clock = clock
        self._lock = Lock()
        self._held: _Held | None = None
        self._failing = False
        self._retry_at = self._unknown_at = clock()

    def key(self, kid: str) -> VerificationKey | None:
        """Return the key named `kid`, after one more look at the issuer if it is new.

        None if the issuer has no such key; Unavailable if no set can be had, or the last look failed.
        """
        held = self._current()
        key = held.keys.get(kid)
        if key is None:
            held = self._look_again(held)
            key = held.keys.get(kid)
        if key is None and self._failing:
            raise Unavailable
        return key

    def _current(self) -> _Held:
        seen, now = self._held, self._clock()
        if seen is not None and now < seen.fresh_until:
            return seen
        # Whoever holds usable keys does not wait for the thread that fetches.
        if self._lock.acquire(blocking=seen is None or now >= seen.usable_until):
            try:
                if self._held is seen and self._clock() >= self._retry_at:
                    self._fetch()
            finally:
                self._lock.release()
        held = self._held
        if held is None or self._clock() >= held.usable_until:
            raise Unavailable
        return held

    def _look_again(self, seen: _Held) -> _Held:
        with self._lock:
            if self._held is seen and self._clock() >= self._unknown_at:
                self._unknown_at = self._clock() + self._policy.unknown_kid
                self._fetch()
            return self._held or seen

    def _fetch(self) -> None:
        held = self._held
        headers = {"accept": "application/jwk-set+json, application/json"}
        if held is not None and held.etag is not None:
            headers["if-none-match"] = held.etag
        try:
            url = self._issuer.endpoint("jwks_uri")
            answer = self._issuer.http.get(url, self._policy.bounds, headers)
            self._held = self._keep(_keys(answer, held), answer.headers, held)
        except (Unavailable, ValueError):
            _log.warning("the issuer's JWK Set cannot be fetched")
            self._failing, self._retry_at = True, self._clock() + self._policy.retry
        else:
            self._failing = False

    def _keep(
        self, keys: Mapping[str, VerificationKey], headers: Mapping[str, str], before: _Held | None
    ) -> _Held:
        policy, now = self._policy, self._clock()
        told = _MAX_AGE.search(headers.get("cache-control", ""))
        max_age = min(max(float(told[1]) if told else policy.usual, policy.shortest), policy.longest)
        # A 304 may leave the ETag out; a 200 without one forgets the old one.
        etag = headers.get("etag", before.etag if before is not None and keys is before.keys else None)
        return _Held(keys, etag, now + max_age, now + max(max_age, policy.stale))


def _keys(answer: Answer, held: _Held | None) -> Mapping[str, VerificationKey]:
    if answer.status == 304 and held is not None and held.etag is not None:
        return held.keys
    if answer.status != 200:
        raise Unavailable
    return parse_jwks(answer.body)
