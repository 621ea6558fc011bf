"""The issuer's signed list of revoked tokens, so that offline validation ends within a second."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any

from .errors import InvalidToken, Reason, Unavailable
from .http import Answer, Bounds
from .issuer import Issuer
from .jws import Expected, open_signed
from .keys import KeySource

_log = logging.getLogger(__name__)
_LIST_TYPE = "revocations+jwt"
_IAT_AHEAD = 60
_LEEWAY = 60  # an entry outlives its token by more than any validator's leeway
_RENEW_BEFORE = 60
_BOUNDS = Bounds(seconds=1.0, max_bytes=4_194_304)


@dataclass(frozen=True)
class RevocationPolicy:
    """How old the list may be, in seconds.

    Older than `max_age` it is asked for again; unconfirmed for longer than `stale` it no longer
    counts and tokens are refused with Unavailable. A worker of the issuer may itself be half a second
    behind: with the default `max_age` a revocation holds within one second.
    """

    max_age: float = 0.5
    stale: float = 10.0
    retry: float = 1.0
    algorithms: frozenset[str] = frozenset({"ES256", "EdDSA", "PS256"})
    bounds: Bounds = _BOUNDS


@dataclass(frozen=True)
class _Held:
    jtis: Mapping[str, int]
    gids: Mapping[str, int]
    expires_at: int
    etag: str | None
    confirmed_at: float


class RevocationList:
    """What the issuer has revoked, asked for on demand, and by a thread once `start` was called.

    `clock` counts seconds without jumps, `wall` since 1970.
    """

    def __init__(
        self,
        issuer: str | Issuer,
        keys: KeySource,
        *,
        policy: RevocationPolicy | None = None,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._issuer = Issuer.of(issuer)
        self._keys = keys
        self._policy = policy or RevocationPolicy()
        self._clock, self._wall = clock, wall
        self._lock = Lock()
        self._held: _Held | None = None
        self._retry_at = clock()
        self._stopped = Event()

    def check(self, jti: str, gid: str | None) -> None:
        """Return if neither `jti` nor `gid` is listed; InvalidToken if one is.

        Unavailable while the list cannot be confirmed.
        """
        held = self._confirmed()
        if jti in held.jtis or (gid is not None and gid in held.gids):
            raise InvalidToken(Reason.REVOKED)

    def start(self) -> None:
        """Keep the list younger than `max_age` from a background thread; call it after a fork."""
        self._stopped.clear()
        Thread(target=self._run, name="revocations", daemon=True).start()

    def stop(self) -> None:
        """End the background thread; checks ask on demand again."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._policy.max_age / 2):
            with self._lock:
                if self._clock() >= self._retry_at:
                    self._poll()

    def _confirmed(self) -> _Held:
        if self._is_due():
            # Everybody waits here: an older list could let a revoked token through.
            with self._lock:
                if self._is_due() and self._clock() >= self._retry_at:
                    self._poll()
        held = self._held
        if held is None or self._clock() > held.confirmed_at + self._policy.stale:
            raise Unavailable
        if self._wall() >= held.expires_at:
            raise Unavailable
        return held

    def _is_due(self) -> bool:
        held = self._held
        return held is None or self._clock() > held.confirmed_at + self._policy.max_age

    def _poll(self) -> None:
        held, asked_at = self._held, self._clock()
        headers = {"accept": "application/jwt"}
        # Near its end a list must come anew: a 304 would confirm what is about to expire.
        if held is not None and held.etag is not None and self._wall() < held.expires_at - _RENEW_BEFORE:
            headers["if-none-match"] = held.etag
        try:
            url = self._issuer.endpoint("revocations_uri")
            answer = self._issuer.http.get(url, self._policy.bounds, headers)
            self._held = self._read(answer, asked_at, held if "if-none-match" in headers else None)
        except (Unavailable, InvalidToken, ValueError):
            _log.warning("the issuer's revocation list cannot be confirmed")
            self._retry_at = self._clock() + self._policy.retry

    def _read(self, answer: Answer, asked_at: float, confirmable: _Held | None) -> _Held:
        if answer.status == 304 and confirmable is not None:
            return replace(confirmable, confirmed_at=asked_at)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.status != 200 or kind != "application/jwt":
            raise Unavailable
        policy = self._policy
        expected = Expected(frozenset({_LIST_TYPE}), policy.algorithms, policy.bounds.max_bytes)
        claims = open_signed(answer.body.decode("ascii"), expected, self._keys)
        now = self._wall()
        issued_at, expires_at = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
        if claims.get("iss") != self._issuer.identifier or not issued_at - _IAT_AHEAD <= now < expires_at:
            raise Unavailable
        # What was revoked stays revoked, even if an older list turns up.
        before = self._held
        return _Held(
            jtis=_merged(claims.get("jtis"), before.jtis if before else {}, now),
            gids=_merged(claims.get("gids"), before.gids if before else {}, now),
            expires_at=expires_at,
            etag=answer.headers.get("etag"),
            confirmed_at=asked_at,
        )


def _merged(listed: Any, before: Mapping[str, int], now: float) -> dict[str, int]:
    if not isinstance(listed, dict):
        raise ValueError("the list is malformed")
    entries = {name: _seconds(until) for name, until in listed.items()}
    known = {name: until for name, until in before.items() if until + _LEEWAY > now}
    return {**known, **entries}


def _seconds(value: object) -> int:
    if type(value) is not int or value <= 0:
        raise ValueError("not whole seconds")
    return value
