"""Codes and refresh tokens handed in twice at once, over real connections to two workers (policy P2).

Exactly one gets tokens; then the other's attempt has ended them too.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fleet import Ask, Fleet, ForkingFleet, Reply, until
from journey import CALLBACK, VERIFIER, Journey
from services import PostgresCluster

ROUNDS = 100
CROWDED_ROUNDS = 20
CROWD = 4
KINDS = ("code", "refresh")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("races")
    if request.param == "sqlite":
        with ForkingFleet(directory, f"sqlite:///{directory / 'races.db'}") as running:
            yield running
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
    url = cluster.create_database(template=request.getfixturevalue("postgresql_template"))
    with ForkingFleet(directory, url) as running:
        yield running
    cluster.drop_database(url)


@pytest.fixture(scope="module")
def journey(fleet: Fleet) -> Journey:
    return Journey(fleet.world).prepare()


def redeem(fleet: Fleet, code: str) -> Ask:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return fleet._post("/token", "shop", form)


def refresh(fleet: Fleet, token: str) -> Ask:
    return fleet._post("/token", "shop", {"grant_type": "refresh_token", "refresh_token": token})


def inactive(fleet: Fleet, token: str) -> Ask:
    return fleet._post("/introspect", "rs_accounts", {"token": token})


def at_once(pool: ThreadPoolExecutor, asks: list[tuple[httpx.Client, Ask]]) -> list[Reply]:
    """The answers to questions that leave at the same moment, each over a connection of its own."""
    barrier = threading.Barrier(len(asks))

    def one(client: httpx.Client, ask: Ask) -> Reply:
        barrier.wait()
        return ask(client)

    return [future.result(60) for future in [pool.submit(one, *ask) for ask in asks]]


def raced(replies: list[Reply]) -> bool:
    """Whether each was asked before any was answered."""
    return max(reply.began for reply in replies) < min(reply.ended for reply in replies)


def handed_in(fleet: Fleet, journey: Journey, kind: str, client: httpx.Client) -> tuple[Ask, str | None]:
    """A fresh code or refresh token, and the access token that came with the latter."""
    code = journey.code()
    if kind == "code":
        return redeem(fleet, code), None
    body = redeem(fleet, code)(client).json
    return refresh(fleet, body["refresh_token"]), body["access_token"]


def check_round(fleet: Fleet, clients: list[httpx.Client], replies: list[Reply], before: str | None) -> None:
    """One of ``replies`` is tokens, the others are refusals, and every token has ended on every worker."""
    (winner,) = [reply for reply in replies if reply.status == 200]
    losers = [reply for reply in replies if reply is not winner]
    assert [(reply.status, reply.json["error"]) for reply in losers] == [(400, "invalid_grant")] * len(losers)
    tokens = [winner.json["access_token"], *([before] if before else [])]
    for client in clients:
        for token in tokens:
            assert inactive(fleet, token)(client).json == {"active": False}
    late = refresh(fleet, winner.json["refresh_token"])(clients[0])
    assert (late.status, late.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_at_once_one_gets_tokens_and_then_these_have_ended(
    fleet: Fleet, journey: Journey, kind: str
) -> None:
    known = len(fleet.world.events("token.family.revoked"))
    together = 0
    began = time.monotonic()
    with fleet.pinned() as pinned, ThreadPoolExecutor(2) as pool:
        clients = list(pinned.values())
        for _ in range(ROUNDS):
            ask, before = handed_in(fleet, journey, kind, clients[0])
            replies = at_once(pool, [(client, ask) for client in clients])
            together += raced(replies)
            check_round(fleet, clients, replies, before)
    assert len(fleet.world.events("token.family.revoked")) == known + ROUNDS
    assert together >= ROUNDS / 2
    took = time.monotonic() - began
    print(f"{kind}: {ROUNDS} rounds in {took:.1f} s, {together} of them at once; one winner each, then ended")


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_at_once_one_gets_tokens_and_then_these_have_ended(
    fleet: Fleet, journey: Journey, kind: str
) -> None:
    with fleet.pinned() as pinned, ThreadPoolExecutor(2 * CROWD) as pool:
        pair = list(pinned.values())
        crowd = [fleet.client() for _ in range(2 * CROWD - len(pair))]
        for _ in range(CROWDED_ROUNDS):
            ask, before = handed_in(fleet, journey, kind, pair[0])
            replies = at_once(pool, [(client, ask) for client in (*pair, *crowd)])
            check_round(fleet, pair, replies, before)
        for client in crowd:
            client.close()


def test_a_redemption_races_the_end_of_its_authorization_and_nothing_survives(
    fleet: Fleet, journey: Journey
) -> None:
    """Whichever comes first, the session's end or the code: no token outlives it."""
    got = []
    with fleet.pinned() as pinned, ThreadPoolExecutor(1) as pool:
        client, other = pinned.values()
        for _ in range(CROWDED_ROUNDS):
            journey.log_in()
            ask = redeem(fleet, journey.code(scope="openid accounts:read"))
            asked = pool.submit(ask, client)
            time.sleep(random.uniform(0, 0.008))
            assert fleet.services.sessions.end(journey.session.sid, "logout")
            reply = asked.result(30)
            got.append(reply.status)
            if reply.status == 200:
                assert inactive(fleet, reply.json["access_token"])(other).json == {"active": False}
                assert refresh(fleet, reply.json["refresh_token"])(other).status == 400
            else:
                assert (reply.status, reply.json["error"]) == (400, "invalid_grant")
    print(f"{got.count(200)} of {len(got)} codes came before the end of the session")


def test_the_log_is_whole_after_all_of_it(fleet: Fleet) -> None:
    until(lambda: fleet.verdict().unsealed == 0, 30, "every row is sealed")
    assert Path(fleet.server.log).read_text().count("Traceback") == 0
    assert fleet.verdict().whole
