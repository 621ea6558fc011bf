"""Workers as the throttle knows them: counters of their own, one real Redis for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from limits.storage import storage_from_string
from services import RedisServer, redis_missing

from authserver import clock
from authserver.throttle.exact import Exact
from authserver.throttle.failures import Failures
from authserver.throttle.leased import Leased
from authserver.throttle.limit import Limit
from authserver.throttle.shared import TIMEOUTS, Lost, Shared

SHARE = 10


@dataclass
class Worker:
    """What one process counts with; ``told`` is what became of Redis: an error's name, or "back"."""

    url: str
    # as a busy machine needs it; shorter where Redis says nothing
    timeout: float = 10.0
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        tell = lambda error: self.told.append("back" if error is None else type(error).__name__)  # noqa: E731
        timeouts = dict.fromkeys(TIMEOUTS, self.timeout)
        self.shared = Shared(storage_from_string(self.url, **timeouts), tell)
        self.leased = Leased(self.shared, SHARE)
        self.failures = Failures(self.shared, SHARE)
        self.exact = Exact(self.shared, SHARE)

    def job(self) -> None:
        """What a job of each process does twice a second."""
        try:
            self.shared.ask(lambda _: None)
            self.exact.restore()
            self.leased.restore()
        except Lost:
            return

    def attempts(self, limit: Limit, times: int, name: str = "login") -> int:
        """How many of so many attempts were within ``limit``."""
        return sum(self.exact.add(limit, 1, name) for _ in range(times))

    def tokens(self, limit: Limit, times: int, name: str = "client") -> int:
        """How many of so many requests were within ``limit``."""
        return sum(self.leased.take(limit, name) for _ in range(times))


@dataclass
class Ticking:
    """The monotonic clock, which stands still until it is walked."""

    at: float

    def __call__(self) -> float:
        return self.at

    def walk(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    ticks = Ticking(clock.monotonic())
    monkeypatch.setattr(clock, "monotonic", ticks)
    return ticks


@pytest.fixture(scope="package")
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this folder's own: it is killed, frozen and misconfigured."""
    if reason := redis_missing():
        pytest.skip(reason)
    with RedisServer() as running:
        yield running


@pytest.fixture
def redis(own_redis: RedisServer) -> RedisServer:
    own_redis.start()
    own_redis.flushall()
    return own_redis


@pytest.fixture
def workers(redis: RedisServer) -> Callable[..., list[Worker]]:
    return lambda count, timeout=10.0: [Worker(redis.url, timeout) for _ in range(count)]
