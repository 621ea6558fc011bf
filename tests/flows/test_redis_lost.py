"""Redis goes away and comes back, empty or not, under a login flood and a token load over two workers.

No limit opens: over the whole run, loss and return included, as many guesses are judged as a limit allows,
and what each worker allows by itself while it is alone. Nothing is lost: every answer is one, and what is
refused says when to come again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import redis as client_library
from fleet import Ask, Asked, Fleet, Reply, asking, until
from plugins.people import hidden_fields
from services import PostgresCluster, RedisServer, redis_missing

from authserver.throttle.limiter import FALLBACK_SHARE
from authserver.throttle.shared import WARY_SECONDS

WORKERS = 2
GUESSES = 20
# what each worker lets pass of a limit while it counts alone
ALONE = GUESSES // FALLBACK_SHARE
TOKENS = 200
TOKENS_ALONE = TOKENS // FALLBACK_SHARE
RECOVERY = 10.0
# longer than a run, so that no window ends in it
WINDOW = 600


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis of this module's own: it is killed."""
    if reason := redis_missing():
        pytest.skip(reason)
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(
    postgres_cluster: PostgresCluster, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    url = postgres_cluster.create_database()
    directory = tmp_path_factory.mktemp("redis-lost")
    limits = {"limit_login_address": f"{GUESSES}/{WINDOW}"}
    with Fleet(directory, url, WORKERS, redis.url, **limits) as running:
        yield running
    postgres_cluster.drop_database(url)


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    """It comes back empty."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(redis: RedisServer) -> Iterator[None]:
    """It says nothing, and comes back with all that it knew."""
    with redis.paused():
        yield


@dataclass
class Attacker:
    """Somebody who guesses passwords from one address, over a connection to each worker."""

    fleet: Fleet
    address: str
    stack: ExitStack
    clients: dict[int, httpx.Client] = field(default_factory=dict)

    def __post_init__(self) -> None:
        deadline = time.monotonic() + 20
        while set(self.clients) != set(self.fleet.server.worker_pids()):
            assert time.monotonic() < deadline, "no connection reached every worker"
            client = httpx.Client(
                base_url=f"http://127.0.0.1:{self.fleet.server.port}",
                headers={"Host": f"localhost:{self.fleet.server.port}"},
                timeout=30,
                transport=httpx.HTTPTransport(
                    local_address=self.address,
                    limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
                ),
            )
            self.stack.callback(client.close)
            self.clients.setdefault(self.fleet.worker_of(client), client)

    def guesses(self) -> list[tuple[httpx.Client, Ask]]:
        """Wrong passwords, one by one, at every worker."""
        return [(client, _guess(client)) for client in self.clients.values()]


def _guess(client: httpx.Client) -> Ask:
    fields = hidden_fields(client.get("/login").text, "/login")
    form = {**fields, "username": "nobody", "password": "not the right one"}

    def ask(asked: httpx.Client) -> Reply:
        began = time.time()
        response = asked.post("/login", data=form)
        return Reply(began, time.time(), response.status_code, response.headers, response.content)

    return ask


def judged(*asked: Asked) -> int:
    """How many guesses were looked at."""
    return sum(reply.status == 401 for got in asked for reply in got.replies)


def refused_for_good(*asked: Asked, since: float = 0) -> Callable[[], bool]:
    """Whether each was refused several times in a row."""

    def holds() -> bool:
        found = [got.since(since)[-5:] for got in asked]
        return all(len(last) == 5 and {reply.status for reply in last} == {429} for last in found)

    return holds


def metric(fleet: Fleet, name: str) -> float:
    with fleet.client() as client:
        body = fleet.get("/metrics")(client).body.decode()
    line = f'authserver_dependency_{name}_total{{dependency="redis"}} '
    return sum(float(text.removeprefix(line)) for text in body.splitlines() if text.startswith(line))


def counted(redis: RedisServer, address: str) -> int:
    """The guesses of ``address`` that Redis knows of."""
    with client_library.Redis(port=redis.port) as client:
        keys = list(client.scan_iter(match=f"*exact/login_ip/{address}/*", count=1000))
        return sum(int(client.get(key) or 0) for key in keys)


@pytest.mark.parametrize("lost", [killed, frozen])
def test_redis_lost_and_back_under_a_login_flood_and_a_token_load(
    fleet: Fleet, redis: RedisServer, lost: Callable[[RedisServer], Iterator[None]]
) -> None:
    # an address and a client for each run: what a window has counted is not forgotten for the next one
    base, hungry_client = (10, "web1") if lost is killed else (20, "web2")
    arguments = ("--endpoint", "token", "--amount", str(TOKENS), "--seconds", str(WINDOW))
    fleet.server.command("tiers", "set", "hungry", *arguments)
    fleet.services.clients.set_tier(hungry_client, "hungry")
    failures, recoveries = metric(fleet, "failures"), metric(fleet, "recoveries")
    with ExitStack() as stack:
        before, during, after = (
            Attacker(fleet, f"127.0.{base}.{number}", stack).guesses() for number in (1, 2, 3)
        )
        pinned = list(stack.enter_context(fleet.pinned()).values())
        ask = fleet.token(hungry_client, "reports")
        until(lambda: all(_in_tier(ask(client)) for client in pinned), 5, "the tier counts")
        # others' clients for load that must never stop, and one that uses up its quota
        steady = [(client, fleet.token()) for client in pinned]
        hungry = [(client, ask) for client in pinned]
        with asking(steady + hungry, pause=0.02) as tokens:
            # at the first worker alone: the second one must know of it when Redis does not
            with asking(before[:1]) as first:
                until(refused_for_good(*first), 20, "the address is over its limit")
            assert judged(*first) == GUESSES
            with lost(redis):
                with asking(before[:1]) as refused, asking(during) as alone:
                    until(refused_for_good(*refused, *alone), 20, "workers refuse alone")
                until(lambda: metric(fleet, "failures") >= failures + WORKERS, RECOVERY, "failures rise")
                assert metric(fleet, "recoveries") == recoveries
            back = lambda: metric(fleet, "recoveries") >= recoveries + WORKERS  # noqa: E731
            until(back, RECOVERY, "recovery is seen")
            # without a request that would tell it
            restored = lambda: counted(redis, f"127.0.{base}.1") >= GUESSES  # noqa: E731
            until(restored, RECOVERY, "Redis knows what it had forgotten")
            # one that found it empty waits for the others
            time.sleep(WARY_SECONDS)
            returned = time.time()
            with asking(before[1:] + during + after) as later:
                until(refused_for_good(*later), 20, "all are over their limits")
            until(refused_for_good(*tokens[WORKERS:], since=returned), 20, "the quota is used up")
    other, again, fresh = later[:1], later[1 : 1 + WORKERS], later[1 + WORKERS :]
    # the one that was at its limit before: not one more, at neither worker, ever
    assert judged(*first, *refused, *other) == GUESSES
    # the one that came while workers were alone: what each allows, and in all no more than the limit
    assert judged(*alone) == WORKERS * ALONE
    assert judged(*alone, *again) <= GUESSES
    # counted together again
    assert judged(*fresh) == GUESSES
    granted = sum(reply.status == 200 for got in tokens[WORKERS:] for reply in got.replies)
    # those that it took to see the tier come off
    assert TOKENS - 10 <= granted <= TOKENS + WORKERS * TOKENS_ALONE
    print(f"{granted} tokens of a quota of {TOKENS}; {len(alone[0].replies)} tries while alone")
    check_answers([*first, *refused, *alone, *later], {401, 429})
    check_answers(tokens[:WORKERS], {200})
    check_answers(tokens[WORKERS:], {200, 429})


def _in_tier(reply: Reply) -> bool:
    return reply.headers.get("RateLimit-Policy") == f'"tier";q={TOKENS};w={WINDOW}'


def check_answers(asked: list[Asked], statuses: set[int]) -> None:
    """Every question was answered, in these ways alone, and each refusal says when to come again."""
    assert [got.broken for got in asked if got.broken] == []
    for got in asked:
        assert got.replies
        wrong = [reply for reply in got.replies if reply.status not in statuses]
        assert [(reply.status, reply.body[:200]) for reply in wrong] == []
        assert all(
            1 <= int(reply.headers["Retry-After"]) <= WINDOW for reply in got.replies if reply.status == 429
        )
    longest = max(reply.ended - reply.began for got in asked for reply in got.replies)
    # nobody waits for Redis again and again
    assert longest < 5, longest
