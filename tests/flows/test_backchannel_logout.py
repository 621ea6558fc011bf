"""Back-channel logout by real workers: a worker killed (kill -9) in the middle of a call loses no call."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet, ForkingFleet, until
from journey import Journey
from receiver import Receiver, verified
from services import PostgresCluster
from sqlalchemy import select, update

from authserver import leases
from authserver.db import table_of
from authserver.models.logout import LogoutDelivery

table = table_of(LogoutDelivery)
JOB = "backchannel_logout"


@pytest.fixture(params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    cluster: PostgresCluster | None = None
    url = f"sqlite:///{tmp_path / 'logout.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database(template=request.getfixturevalue("postgresql_template"))
    with ForkingFleet(tmp_path, url) as running:
        yield running
    if cluster:
        cluster.drop_database(url)


def caller(fleet: Fleet) -> int:
    """The worker that holds the job's lease."""
    (holder,) = [state.holder for state in leases.states(fleet.services.database) if state.job == JOB]
    return int(holder.rpartition(":")[2])


def waiting(fleet: Fleet) -> list[int]:
    with fleet.services.database.reading() as connection:
        return list(connection.execute(select(table.c.attempts)).scalars())


def sign_out(fleet: Fleet, journey: Journey) -> None:
    journey.tokens("shop")
    assert fleet.services.sessions.end(journey.session.sid, "logout")


def test_a_worker_that_dies_in_the_middle_of_a_call_is_stood_in_for(fleet: Fleet) -> None:
    with Receiver() as receiver:
        journey = Journey(fleet.world).prepare()
        fleet.services.clients.set_logout("shop", [], receiver.uri)
        time.sleep(1)  # by then every worker knows of the address

        # the honest way first: a worker calls by itself, soon
        sign_out(fleet, journey)
        until(lambda: len(receiver.heard) == 1 and not waiting(fleet), 10, "a call")

        killed = threading.Event()
        receiver.meanwhile = lambda: killed.wait(10)  # type: ignore[assignment, return-value]
        journey.log_in()
        sign_out(fleet, journey)
        until(lambda: len(receiver.heard) == 2, 10, "the call that hangs")
        os.kill(caller(fleet), signal.SIGKILL)
        killed.set()
        assert waiting(fleet) == [1]
        receiver.meanwhile = lambda: None
        # the time of the lease and of the claim goes by
        with fleet.services.database.writing() as connection:
            connection.execute(update(table).values(due_at=0))
            connection.execute(update(leases.table).where(leases.table.c.job == JOB).values(until_ms=0))
        until(lambda: len(receiver.heard) == 3 and not waiting(fleet), 20, "the call by another worker")

        told = [verified(fleet.world, heard.token) for heard in receiver.heard]
        assert told[1]["sid"] == told[2]["sid"] != told[0]["sid"]
        assert len({claims["jti"] for claims in told}) == 3
        sent = fleet.world.events("logout.backchannel.sent")
        assert [row["detail"]["attempts"] for row in sent] == [1, 2]
        assert fleet.world.events("logout.backchannel.failed") == []
