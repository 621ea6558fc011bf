"""What the tests of the library share: a fake issuer and a clock that tests move."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from resource_server.fake_issuer import FakeIssuer
from resource_server.signing import NOW


@dataclass
class Clock:
    now: float = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    server = FakeIssuer()
    yield server
    server.stop()
