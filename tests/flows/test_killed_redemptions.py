"""A worker killed between redemption and answer (kill -9): no code is usable twice, none is lost unheard.

The workers wait a moment after the commit of a redemption, so that the kill finds them there every time.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from fleet import Ask, Fleet, ForkingFleet, until
from journey import CALLBACK, VERIFIER, Journey
from running import ROOT
from services import PostgresCluster
from sqlalchemy import select

from authserver import crypto
from authserver.db import table_of
from authserver.models.authorization import AuthorizationCode

# on each database
KILLS = 25
codes = table_of(AuthorizationCode)

# Python runs a module of this name in every process before anything else
PAUSE = """
import time
from authserver.oauth.single_use import SingleUse

spend = SingleUse.spend


def slowly(self, *arguments):
    reason = spend(self, *arguments)
    time.sleep(0.15)
    return reason


SingleUse.spend = slowly
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    cluster: PostgresCluster | None = None
    url = f"sqlite:///{tmp_path / 'kills.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database(template=request.getfixturevalue("postgresql_template"))
    made = ForkingFleet(tmp_path, url)
    (tmp_path / "pause").mkdir()
    (tmp_path / "pause" / "sitecustomize.py").write_text(PAUSE)
    made.server.environment["PYTHONPATH"] = f"{tmp_path / 'pause'}{os.pathsep}{ROOT}"
    with made as running:
        yield running
    if cluster:
        cluster.drop_database(url)


def redeem(fleet: Fleet, code: str) -> Ask:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return fleet._post("/token", "shop", form)


def inactive(fleet: Fleet, token: str) -> Ask:
    return fleet._post("/introspect", "rs_accounts", {"token": token})


def used(fleet: Fleet, code: str) -> bool:
    query = select(codes.c.used_at).where(codes.c.digest == crypto.digest(code))
    with fleet.services.database.reading() as connection:
        return connection.execute(query).scalar_one() is not None


def on_worker(fleet: Fleet, pid: int) -> httpx.Client:
    """A connection to this worker."""
    while True:
        client = fleet.client()
        try:
            if fleet.worker_of(client) == pid:
                return client
        except (AssertionError, OSError, httpx.HTTPError):
            # it reached a worker that has just gone, or has just come
            pass
        client.close()


def workers(fleet: Fleet) -> list[int]:
    """The workers that there are, the oldest first."""
    while True:
        try:
            return sorted(fleet.server.worker_pids(), key=started)
        except (FileNotFoundError, ProcessLookupError):
            # one has gone since it was listed
            continue


def started(pid: int) -> int:
    """When a process started, in clock ticks since boot: ids of processes come round again."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def kill_in_flight(fleet: Fleet, code: str, client: httpx.Client, pid: int, moment: float | None) -> bool:
    """The worker is killed after ``moment`` seconds, else once the code is spent; whether it answered."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(redeem(fleet, code), client)
        if moment is None:
            while not used(fleet, code):
                assert not asked.done() or asked.exception() is None, asked.exception()
        else:
            time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        try:
            return asked.result(30).status == 200
        except httpx.TransportError:
            return False


def test_a_kill_between_redemption_and_answer_leaves_no_code_usable_twice(fleet: Fleet) -> None:
    """Every other kill comes when the code was seen spent, the others at any moment of the request."""
    journey = Journey(fleet.world).prepare()
    outcomes = {"answered": 0, "spent, no answer": 0, "unspent": 0}
    for number in range(KILLS):
        until(lambda: len(workers(fleet)) == 2, 20, "two workers")
        victim, other = workers(fleet)
        client, survivor = on_worker(fleet, victim), on_worker(fleet, other)
        code = journey.code()
        moment = None if number % 2 else random.uniform(0, 0.05)
        answered = kill_in_flight(fleet, code, client, victim, moment)
        client.close()
        until(lambda gone=victim: gone not in workers(fleet), 10, "the worker is gone")  # type: ignore[misc]
        spent = used(fleet, code)
        outcomes["answered" if answered else "spent, no answer" if spent else "unspent"] += 1
        assert spent or not answered
        with closing(survivor):
            # the client, without an answer, tries again, twice
            again = [redeem(fleet, code)(survivor) for _ in range(2)]
            assert [reply.status for reply in again] == ([400, 400] if spent else [200, 400]), number
            for reply in again:
                if reply.status == 200:
                    token = reply.json["access_token"]
                    assert inactive(fleet, token)(survivor).json == {"active": False}
        gid = gid_of(fleet, code)
        issued = [row for row in fleet.world.events("token.issued") if row["detail"].get("gid") == gid]
        assert len(issued) == 1
    print(f"{KILLS} kills: {outcomes}")
    assert outcomes["spent, no answer"] >= KILLS // 2
    until(lambda: fleet.verdict().unsealed == 0, 30, "every row is sealed")
    assert fleet.verdict().whole


def gid_of(fleet: Fleet, code: str) -> str:
    query = select(codes.c.gid).where(codes.c.digest == crypto.digest(code))
    with fleet.services.database.reading() as connection:
        return str(connection.execute(query).scalar_one())
