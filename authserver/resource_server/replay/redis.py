"""A replay store in Redis, for an API on several machines."""

from hashlib import sha256
from time import time
from typing import TYPE_CHECKING

from ..errors import Unavailable
from . import MARGIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = "authserver:replay:"
_TIMEOUT = 0.5


class RedisReplayStore:
    """A replay store in the Redis at `url`, which must not evict keys (`maxmemory-policy noeviction`).

    What Redis forgets can be replayed: give it `appendfsync always`, and never flush it.
    """

    def __init__(self, url: str, *, clock: "Callable[[], float]" = time) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # A retried SET would meet its own first attempt and take the caller for a replayer.
        self._redis = Redis.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        self._clock = clock
        self._may_evict = True

    def claim(self, key: str, expires_at: int) -> bool:
        """Tell whether this is the first claim of `key`; Unavailable if Redis fails or may evict."""
        from redis.exceptions import RedisError

        # Relative to Redis's own clock: with a time already past there, SET would succeed every time.
        seconds = int(expires_at - self._clock()) + MARGIN_SECONDS
        if expires_at <= self._clock():
            return False
        try:
            if self._may_evict:
                self._refuse_eviction()
            name = _PREFIX + sha256(key.encode()).hexdigest()
            return bool(self._redis.set(name, b"1", nx=True, ex=seconds))
        except RedisError:
            raise Unavailable from None

    def close(self) -> None:
        """Close the connections; the next claim opens them again."""
        self._redis.close()

    def _refuse_eviction(self) -> None:
        memory = self._redis.info("memory")
        if not isinstance(memory, dict) or memory.get("maxmemory_policy") != "noeviction":
            raise Unavailable
        self._may_evict = False
