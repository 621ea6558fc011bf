"""Workers killed under load (kill -9): what a client received is on record, and the chain is whole."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fleet import Asked, Fleet, ForkingFleet, asking, until
from services import PostgresCluster

KILLS = 5
CONNECTIONS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    if request.param == "sqlite":
        with ForkingFleet(tmp_path, f"sqlite:///{tmp_path / 'crash.db'}") as running:
            yield running
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
    url = cluster.create_database(template=request.getfixturevalue("postgresql_template"))
    with ForkingFleet(tmp_path, url) as running:
        yield running
    cluster.drop_database(url)


def serving(asked: list[Asked]) -> None:
    """Tokens are issued."""
    at = time.time()
    replies = lambda: [reply for got in asked for reply in got.since(at)]  # noqa: E731
    until(lambda: sum(reply.status == 200 for reply in replies()) >= 50, 20, "tokens are issued")


def successors(fleet: Fleet, killed: list[int]) -> bool:
    """Whether there are as many workers as there should be, none of them one of ``killed``."""
    alive = set(fleet.server.worker_pids())
    return len(alive) == fleet.server.workers and not alive & set(killed)


def test_no_token_is_out_that_the_audit_log_does_not_know(fleet: Fleet) -> None:
    clients = [fleet.client() for _ in range(CONNECTIONS)]
    killed: list[int] = []
    with asking([(client, fleet.token()) for client in clients], pause=0.005) as asked:
        for _ in range(KILLS):
            serving(asked)
            killed.append(min(fleet.server.worker_pids()))
            os.kill(killed[-1], signal.SIGKILL)
            until(lambda: successors(fleet, killed), 15, "the worker has a successor")
            with fleet.pinned():
                """Both serve."""
        serving(asked)
    for client in clients:
        client.close()
    received = [reply.claims["jti"] for got in asked for reply in got.replies if reply.status == 200]
    assert len(set(killed)) == KILLS
    # the kills hit requests in flight
    assert any(got.broken for got in asked)
    assert all(isinstance(error, httpx.TransportError) for got in asked for error in got.broken)
    assert len(received) == len(set(received))
    assert set(received) - fleet.issued() == set()
    until(lambda: fleet.verdict().unsealed == 0, 20, "every row is sealed")
    told = fleet.server.command("audit", "verify")
    assert told.stdout.startswith("The log is whole: ")
    broken = sum(len(got.broken) for got in asked)
    print(f"{KILLS} kills, {broken} connections broken, {len(received)} tokens received, all on record")
