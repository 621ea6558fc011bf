"""Two workers on PostgreSQL and Redis: what an operator changes holds on both within one second.

Each worker is asked over a connection of its own, all the time. The second counts from the commit: a
question asked later must not be answered from what was true before.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fleet import Ask, Asked, Fleet, Reply, asking, until
from journey import Journey
from plugins.app import PAYMENTS
from services import PostgresCluster, RedisServer
from sqlalchemy import func, select

from authserver import jws
from authserver.db import table_of
from authserver.leases import LEASE_MS
from authserver.models.lease import CacheVersion, Lease

BOUND = 1.0
versions = table_of(CacheVersion)
leases = table_of(Lease)


@pytest.fixture(scope="module")
def fleet(
    postgres_cluster: PostgresCluster,
    postgresql_template: str,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    redis_server.flushall()
    url = postgres_cluster.create_database(template=postgresql_template)
    with Fleet(tmp_path_factory.mktemp("two"), url, redis_url=redis_server.url) as running:
        yield running
    postgres_cluster.drop_database(url)


def committed(fleet: Fleet, change: Callable[[], object]) -> float:
    """When the change was committed (Unix seconds), at the latest: it was seen in the database."""

    def seen() -> int:
        with fleet.services.database.reading() as connection:
            return int(connection.execute(select(func.sum(versions.c.version))).scalar_one())

    before = seen()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(change)
        while seen() == before:
            assert not running.done() or running.exception() is None, running.exception()
            time.sleep(0.002)
        at = time.time()
        running.result(30)
    return at


def holds_on_both(
    fleet: Fleet,
    ask: Ask,
    change: Callable[[], object],
    before: Callable[[Reply], bool],
    after: Callable[[Reply], bool],
    bound: float = BOUND,
) -> dict[int, Asked]:
    """After ``change`` every worker answers as ``after`` says to whatever is asked ``bound`` s later.

    Prints for each worker when it last answered as before.
    """
    with fleet.pinned() as clients, asking([(c, ask) for c in clients.values()]) as asked:
        for got in asked:
            until(lambda got=got: len(got.replies) >= 5, 10, "five answers")  # type: ignore[misc]
        at = committed(fleet, change)
        for got in asked:
            until(lambda got=got: len(got.since(at + bound)) >= 20, 15, "twenty answers")  # type: ignore[misc]
    for pid, got in zip(clients, asked, strict=True):
        assert got.broken == []
        assert all(before(reply) for reply in got.replies[:5]), (pid, got.replies[0])
        late = [reply for reply in got.since(at + bound) if not after(reply)]
        last = max(reply.began for reply in got.replies if before(reply))
        print(f"worker {pid}: asked {1000 * (last - at):.0f} ms after the commit, answered as before")
        assert late == [], (pid, len(late), late[0].began - at, late[0].status, late[0].body)
    return dict(zip(clients, asked, strict=True))


def granted(reply: Reply) -> bool:
    return reply.status == 200


def refused(status: int, error: str) -> Callable[[Reply], bool]:
    return lambda reply: (reply.status, reply.json["error"]) == (status, error)


def is_active(reply: Reply) -> bool:
    return reply.status == 200 and reply.json["active"] is True


def is_inactive(reply: Reply) -> bool:
    return reply.status == 200 and reply.json == {"active": False}


def a_token(fleet: Fleet) -> str:
    with fleet.client() as client:
        return str(fleet.token()(client).json["access_token"])


def test_both_workers_serve_and_their_audit_rows_say_which(fleet: Fleet) -> None:
    with fleet.pinned() as clients:
        of = {pid: fleet.token()(client).claims["jti"] for pid, client in clients.items()}
    rows = {row["detail"]["jti"]: row["worker"] for row in fleet.world.events("token.issued")}
    assert {pid: int(rows[jti].rpartition(":")[2]) for pid, jti in of.items()} == {p: p for p in of}
    assert len(of) == 2


def test_a_suspended_client_gets_nothing_and_its_tokens_end(fleet: Fleet) -> None:
    token = a_token(fleet)
    holds_on_both(
        fleet,
        fleet.token(),
        lambda: fleet.server.command("clients", "suspend", "svc1"),
        granted,
        refused(401, "invalid_client"),
    )
    with fleet.pinned() as clients:
        assert all(is_inactive(fleet.introspect(token)(client)) for client in clients.values())
    holds_on_both(
        fleet,
        fleet.introspect(token),
        lambda: fleet.services.clients.set_state("svc1", "active"),
        is_inactive,
        is_active,
    )


def test_a_revoked_token_is_inactive_at_once_and_in_the_list_within_a_second(fleet: Fleet) -> None:
    token = a_token(fleet)
    jti = jws.parse(token, typ=["at+jwt"], algs=["ES256"]).claims["jti"]

    def revoke() -> None:
        with fleet.client() as client:
            assert fleet.revoke(token)(client).status == 200

    def listed(reply: Reply) -> bool:
        claims = jws.parse(reply.body.decode(), typ=["revocations+jwt"], algs=["ES256"]).claims
        return reply.status == 200 and jti in claims["jtis"]

    second = a_token(fleet)

    def revoke_second() -> None:
        with fleet.client() as client:
            assert fleet.revoke(second)(client).status == 200

    # introspection asks the table: no cache stands between
    holds_on_both(fleet, fleet.introspect(second), revoke_second, is_active, is_inactive, bound=0)
    holds_on_both(fleet, fleet.get("/revocations"), revoke, lambda r: not listed(r), listed)


def test_a_disabled_persons_tokens_end_on_both_workers_at_once(fleet: Fleet) -> None:
    journey = Journey(fleet.world).prepare()
    body = journey.tokens()
    ask = fleet._post("/introspect", "rs_accounts", {"token": body["access_token"]})
    disable = lambda: fleet.services.users.disable(journey.user_id)  # noqa: E731
    holds_on_both(fleet, ask, disable, is_active, is_inactive, bound=0)
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    with fleet.pinned() as clients:
        for client in clients.values():
            assert refused(400, "invalid_grant")(fleet._post("/token", "shop", form)(client))
    gid = jws.parse(body["access_token"], typ=["at+jwt"], algs=["ES256"]).claims["gid"]
    assert [row["detail"]["gid"] for row in fleet.world.events("token.family.revoked")] == [gid]


def test_a_smaller_allowlist_shuts_out_who_is_no_longer_in_it(fleet: Fleet) -> None:
    try:
        holds_on_both(
            fleet,
            fleet.token(),
            lambda: fleet.server.command("clients", "networks", "svc1", "--allow", "203.0.113.0/24"),
            granted,
            refused(403, "access_denied"),
        )
    finally:
        fleet.services.clients.set_networks("svc1", [])


def test_a_rotated_secret_ends_the_old_one(fleet: Fleet) -> None:
    new: list[str] = []

    def rotate() -> None:
        told = fleet.server.command("clients", "rotate-secret", "web1", "--json").stdout
        new.extend(re.findall(r'"client_secret": "([^"]+)"', told))

    ask = fleet.token("web1", "reports")
    holds_on_both(fleet, ask, rotate, granted, refused(401, "invalid_client"))
    with fleet.pinned() as clients:
        for client in clients.values():
            assert fleet.token("web1", "reports", secret=new[0])(client).status == 200
    fleet.world.secrets["web1"] = new[0]


def test_another_tier_and_another_limit_of_a_tier_count(fleet: Fleet) -> None:
    def policy(amount: int) -> Callable[[Reply], bool]:
        return lambda r: r.status == 200 and r.headers["RateLimit-Policy"] == f'"tier";q={amount};w=60'

    holds_on_both(
        fleet,
        fleet.token("web2", "reports"),
        lambda: fleet.server.command("clients", "tier", "web2", "standard"),
        policy(12000),
        policy(1200),
    )
    holds_on_both(
        fleet,
        fleet.token("web2", "reports"),
        lambda: fleet.server.command("tiers", "set", "standard", "--endpoint", "token", "--amount", "5000"),
        policy(1200),
        policy(5000),
    )


def test_a_compromised_key_is_gone_from_signing_verification_and_the_key_set(fleet: Fleet) -> None:
    token = a_token(fleet)
    old = jws.parse(token, typ=["at+jwt"], algs=["ES256"]).kid
    with fleet.pinned() as clients:
        questions = [
            (client, ask)
            for client in clients.values()
            for ask in (fleet.token(), fleet.introspect(token), fleet.get("/jwks"))
        ]
        with asking(questions) as asked:
            until(lambda: all(len(got.replies) >= 5 for got in asked), 10, "five answers")
            at = committed(fleet, lambda: fleet.server.command("keys", "rotate", "--compromise"))
            until(lambda: all(len(got.since(at + BOUND)) >= 20 for got in asked), 15, "twenty answers")
    assert len(clients) == 2
    for tokens, introspections, key_sets in (asked[:3], asked[3:]):
        assert all(reply.kid == old for reply in tokens.replies[:5])
        assert all(is_active(reply) for reply in introspections.replies[:5])
        assert all(old in reply.body.decode() for reply in key_sets.replies[:5])
        assert all(reply.status == 200 and reply.kid != old for reply in tokens.since(at + BOUND))
        assert all(is_inactive(reply) for reply in introspections.since(at + BOUND))
        assert all(old not in reply.body.decode() for reply in key_sets.since(at + BOUND))


def counted(reply: Reply, name: str) -> float:
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", reply.body.decode(), re.MULTILINE)
    return float(value)


def test_metrics_are_the_sum_over_workers_whichever_answers(fleet: Fleet) -> None:
    names = (
        'authserver_requests_total{endpoint="token",status="200"}',
        'authserver_events_total{event="token.issued",outcome="succeeded"}',
        'authserver_request_seconds_count{endpoint="token"}',
    )
    scrape = fleet.get("/metrics")
    with fleet.pinned() as clients:
        before = [scrape(client) for client in clients.values()]
        for number, client in enumerate(clients.values(), 3):
            for _ in range(number):
                assert fleet.token()(client).status == 200
        after = [scrape(client) for client in clients.values()]
    assert [reply.status for reply in before + after] == [200] * 4
    for name in names:
        assert counted(before[0], name) == counted(before[1], name), name
        for earlier, later in zip(before, after, strict=True):
            assert counted(later, name) == counted(earlier, name) + 3 + 4, name
    # labels come from closed sets: nothing of a caller is in them
    assert not re.search("svc1|127\\.0\\.0\\.1|" + re.escape(PAYMENTS), after[0].body.decode())


def held(fleet: Fleet) -> dict[str, tuple[str, int]]:
    with fleet.services.database.reading() as connection:
        return {row.job: (row.holder, row.until_ms) for row in connection.execute(select(leases))}


def unsealed(fleet: Fleet) -> int:
    return sum(row["seq"] is None for row in fleet.world.events())


def test_jobs_have_one_holder_and_find_another_when_it_is_killed(fleet: Fleet) -> None:
    with fleet.client() as client, asking([(client, fleet.token())], pause=0.05):
        until(lambda: {"audit_seal", "key_rotation", "purge"} <= set(held(fleet)), 5, "every job has run")
        workers = set(fleet.server.worker_pids())
        assert len(workers) == 2
        # nobody takes a lease that is another's and still runs
        earlier = held(fleet)
        for _ in range(50):
            now = held(fleet)
            for job, (holder, _until) in now.items():
                assert int(holder.rpartition(":")[2]) in workers
                assert holder == earlier[job][0] or earlier[job][1] < time.time() * 1000
            earlier = now
            time.sleep(0.02)
        first = int(held(fleet)["audit_seal"][0].rpartition(":")[2])
        killed_at = time.time()
        os.kill(first, signal.SIGKILL)
        until(
            lambda: not held(fleet)["audit_seal"][0].endswith(f":{first}"),
            LEASE_MS / 1000 + 5,
            "another worker seals",
        )
        assert time.time() - killed_at <= LEASE_MS / 1000 + 5
    until(lambda: unsealed(fleet) == 0, 5, "every row is sealed")
    # and the one that was killed has a successor that serves
    until(lambda: len(set(fleet.server.worker_pids())) == 2, 10, "two workers")
    assert first not in fleet.server.worker_pids()

    def both_answer() -> bool:
        try:
            with fleet.pinned() as clients:
                return all(fleet.token()(client).status == 200 for client in clients.values())
        except (httpx.HTTPError, AssertionError):
            return False

    until(both_answer, 15, "both workers serve")
    assert fleet.verdict().whole
