"""The life of signing keys, walked by the clock with tokens outstanding."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from plugins.app import MASTER, Moving, World, make_settings, populate
from running import RunningServer
from services import PostgresCluster
from sqlalchemy import delete, select

from authserver import clock, crypto, jws
from authserver.app import create_app, services_of
from authserver.errors import Invalid
from authserver.jobs import Jobs
from authserver.keys.store import place, table
from authserver.models.signing_key import SigningKey
from authserver.services import Services

DAY = 86_400
MAX_AGE = 300
LIFETIME = 300


# What is asked here does not depend on the database; the others are asked of both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def keyed(moving_clock: Moving, make_app: Callable[..., Flask]) -> World:
    """A world whose first keys are made now, at the moving clock, and rotate every day."""
    world = populate(make_app(key_rotation_days=1, jwks_max_age=MAX_AGE, access_token_lifetime=LIFETIME))
    with world.services.database.writing() as connection:
        connection.execute(delete(table))
    world.services.rotation.ensure("ES256")
    world.services.versions.forget()
    return world


def published(world: World) -> list[str]:
    """The key ids in the JWKS, from its URL."""
    world.services.versions.forget()
    answer = world.send("GET", "/jwks")
    assert answer.status_code == 200
    assert not any("d" in key for key in answer.json["keys"])
    return [key["kid"] for key in answer.json["keys"]]


def rows(services: Services) -> dict[str, dict[str, Any]]:
    with services.database.reading() as connection:
        return {row["kid"]: dict(row) for row in connection.execute(select(table)).mappings()}


def states(services: Services) -> list[str]:
    return sorted(row["state"] for row in rows(services).values())


def in_state(world: World, state: str) -> str:
    (kid,) = [kid for kid, row in rows(world.services).items() if row["state"] == state]
    return kid


def kid_of(token: str) -> str:
    return jws.parse(token, typ=["at+jwt"], algs=["ES256"]).kid


def active(world: World, token: str) -> bool:
    world.services.versions.forget()
    answer = world.post("/introspect", as_="rs_payments", form={"token": token})
    assert answer.status_code == 200
    return bool(answer.json["active"])


def rotated(world: World, **how: bool) -> str:
    kid = world.services.rotation.rotate("ES256", **how)
    world.services.versions.forget()
    return kid


def test_two_rotations_with_tokens_outstanding(keyed: World, moving_clock: Moving) -> None:
    """Walked in steps of two minutes around both rotations: what must hold is asked at every step.

    A key signs only what every API can have learned of, a token counts until its end and not longer, and
    a key leaves the JWKS only after its last token.
    """
    start = moving_clock.at
    jobs = Jobs(keyed.services)
    first_seen: dict[str, float] = {}
    signed: dict[str, float] = {}
    tokens: list[tuple[str, float]] = []
    for day in (1, 2):
        moving_clock.at = start + day * DAY - 600
        while moving_clock.at <= start + day * DAY + 900:
            jobs._due.clear()
            jobs.run_due()
            kids = published(keyed)
            for kid in kids:
                first_seen.setdefault(kid, moving_clock.at)
            token = keyed.access_token()
            tokens.append((token, moving_clock.at))
            kid = kid_of(token)
            signed.setdefault(kid, moving_clock.at)
            assert kid in kids
            for text, at in tokens:
                alive = moving_clock.at < at + LIFETIME
                if alive:
                    assert kid_of(text) in kids
                if at > moving_clock.at - 900:
                    assert active(keyed, text) is alive, (moving_clock.at - start, at - start)
            moving_clock.walk(120)
    assert list(signed) == list(dict.fromkeys(kid_of(text) for text, _ in tokens))
    assert len(signed) == 3
    made = rows(keyed.services)
    for kid, at in signed.items():
        assert at - made[kid]["published_at"] >= MAX_AGE or made[kid]["published_at"] == start
        assert kid in first_seen
    # the third signs, the fourth is announced; the first two are gone, their private halves with them
    assert published(keyed) == sorted(
        (kid for kid, row in made.items() if row["state"] in ("active", "next")),
        key=lambda kid: (-made[kid]["published_at"], kid),
    )
    gone = [row for row in made.values() if row["state"] == "revoked"]
    assert len(gone) == 2
    assert all(row["sealed_private_jwk"] is None for row in gone)
    assert all(row["sealed_private_jwk"] for row in made.values() if row["state"] != "revoked")
    assert len(made) == 4
    assert states(keyed.services) == ["active", "next", "revoked", "revoked"]


@on_sqlite
def test_the_job_rotates_on_the_day_and_not_before(keyed: World, moving_clock: Moving) -> None:
    first, following = in_state(keyed, "active"), in_state(keyed, "next")
    moving_clock.walk(DAY - 1)
    Jobs(keyed.services).run_due()
    assert (in_state(keyed, "active"), in_state(keyed, "next")) == (first, following)
    moving_clock.walk(1)
    Jobs(keyed.services).run_due()
    assert (in_state(keyed, "active"), in_state(keyed, "retired")) == (following, first)
    assert in_state(keyed, "next") not in (first, following)
    (event,) = keyed.events("key.rotated")
    assert (event["detail"]["kid"], event["actor"]) == (following, "system")


@on_sqlite
def test_a_retired_key_stays_published_until_its_last_token_ended_then_is_erased(
    keyed: World, moving_clock: Moving
) -> None:
    old = in_state(keyed, "active")
    moving_clock.walk(MAX_AGE)
    last = keyed.access_token()
    assert kid_of(last) == old
    rotated(keyed)
    moving_clock.walk(LIFETIME - 1)
    assert old in published(keyed)
    assert active(keyed, last)
    moving_clock.walk(1)
    assert not active(keyed, last)
    # and a key set that an API fetched just before it left is good for max-age more
    moving_clock.walk(MAX_AGE - 1)
    keyed.services.rotation.advance()
    assert old in published(keyed)
    moving_clock.walk(1)
    keyed.services.rotation.advance()
    assert old not in published(keyed)
    row = rows(keyed.services)[old]
    assert (row["state"], row["sealed_private_jwk"]) == ("revoked", None)


@on_sqlite
def test_a_retired_key_says_nothing_new(keyed: World, moving_clock: Moving) -> None:
    """Whoever has a retired private key can still sign with it; nothing dated later counts."""
    old = next(key for key in keyed.services.keys.published() if key.state == "active")
    moving_clock.walk(MAX_AGE)
    before = keyed.access_token()
    rotated(keyed)
    assert active(keyed, before)
    claims = jws.parse(before, typ=["at+jwt"], algs=["ES256"]).claims
    moving_clock.walk(10)

    def forged(issued_at: int) -> str:
        header = {"alg": "ES256", "kid": old.kid, "typ": "at+jwt"}
        fresh = claims | {"iat": issued_at, "exp": issued_at + LIFETIME, "jti": f"forged-{issued_at}"}
        return jwt.encode(header, fresh, old.pair, algorithms=["ES256"])

    # one second of grace: another worker may learn of the retirement that much later
    assert active(keyed, forged(clock.now() - 9))
    for later in (8, 5, 0):
        assert not active(keyed, forged(clock.now() - later))
    assert [row["reason"] for row in keyed.events("jwt.rejected")] == ["key_retired"] * 3


@on_sqlite
def test_rotating_by_hand_waits_until_every_api_can_know_the_next_key(
    keyed: World, moving_clock: Moving
) -> None:
    following = in_state(keyed, "next")
    moving_clock.walk(MAX_AGE - 1)
    with pytest.raises(Invalid, match="Wait 1 s or use --compromise"):
        keyed.services.rotation.rotate("ES256")
    assert in_state(keyed, "next") == following
    assert keyed.events("key.rotated") == []
    moving_clock.walk(1)
    assert rotated(keyed) == following == in_state(keyed, "active")
    # its successor is as new as this rotation
    with pytest.raises(Invalid, match=f"Wait {MAX_AGE} s"):
        keyed.services.rotation.rotate("ES256")


def test_a_compromised_key_drops_at_once_with_all_it_signed(keyed: World) -> None:
    old, following = in_state(keyed, "active"), in_state(keyed, "next")
    token = keyed.access_token()
    assert active(keyed, token)
    assert rotated(keyed, compromise=True) == following
    assert old not in published(keyed)
    assert not active(keyed, token)
    row = rows(keyed.services)[old]
    assert (row["state"], row["sealed_private_jwk"]) == ("revoked", None)
    fresh = keyed.access_token()
    assert kid_of(fresh) == following
    assert active(keyed, fresh)
    (event,) = keyed.events("key.rotated")
    assert event["detail"] == {"alg": "ES256", "kid": following, "compromise": True}
    # a second compromise in a row has a next key, too
    rotated(keyed, compromise=True)
    assert states(keyed.services) == ["active", "next", "revoked", "revoked"]


@on_sqlite
def test_every_key_has_an_id_of_its_own(keyed: World) -> None:
    for _ in range(10):
        rotated(keyed, compromise=True)
    kids = [row["detail"]["kid"] for row in keyed.events("key.created")]
    # two of the template, two of this world, one a rotation
    assert len(kids) == len(set(kids)) == 14
    assert set(published(keyed)) == {in_state(keyed, "active"), in_state(keyed, "next")}


@on_sqlite
def test_algorithms_rotate_apart(keyed: World, moving_clock: Moving) -> None:
    keyed.services.rotation.ensure("EdDSA")
    before = {kid for kid, row in rows(keyed.services).items() if row["alg"] == "EdDSA"}
    moving_clock.walk(MAX_AGE)
    rotated(keyed)
    after = {kid: row["state"] for kid, row in rows(keyed.services).items() if row["alg"] == "EdDSA"}
    assert set(after) == before
    assert sorted(after.values()) == ["active", "next"]


@on_sqlite
def test_first_keys_are_made_once_however_often_one_asks(keyed: World) -> None:
    before = published(keyed)
    keyed.services.rotation.ensure("ES256")
    assert published(keyed) == before


def at_once(works: list[Callable[[], object]]) -> list[object]:
    """What each gave, or the Invalid that it raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return work()
        except Invalid as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_two_who_rotate_at_once_leave_one_active_and_one_next_key(
    make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    fleet = [services_of(make_app()) for _ in range(2)]
    for compromise in (True, False) * 4:
        moving_clock.walk(MAX_AGE + 1)
        works = [lambda s=s, c=compromise: s.rotation.rotate("ES256", compromise=c) for s in fleet]  # type: ignore[misc]
        results = at_once(works)
        held = [row for row in rows(fleet[0]).values() if row["state"] in ("active", "next")]
        assert sorted(row["state"] for row in held) == ["active", "next"]
        assert all(row["retired_at"] is None and row["expires_at"] is None for row in held)
        if not compromise:
            # the other one found a next key of just now
            assert sum(isinstance(result, Invalid) for result in results) == 1


def test_two_processes_that_start_at_once_make_the_first_keys_once(make_app: Callable[..., Flask]) -> None:
    fleet = [services_of(make_app()) for _ in range(4)]
    for _ in range(5):
        with fleet[0].database.writing() as connection:
            connection.execute(delete(table))
        at_once([lambda s=s: s.rotation.ensure("ES256") for s in fleet])  # type: ignore[misc]
        assert states(fleet[0]) == ["active", "next"]


def test_two_upgrades_at_once_on_an_empty_postgresql(
    postgres_cluster: PostgresCluster, tmp_path: Path
) -> None:
    url = postgres_cluster.create_database()
    server = RunningServer(tmp_path, database_url=url, master_keys=MASTER)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: server.command("db", "upgrade", "--json", check=False), range(2)))
    assert [d.returncode for d in done] == [0, 0], [d.stderr for d in done]
    services = services_of(create_app(make_settings(tmp_path, url)))
    assert states(services) == ["active", "next"]
    services.database.engine.dispose()
    postgres_cluster.drop_database(url)


@on_sqlite
def test_a_private_key_rests_sealed_and_opens_in_its_own_row_alone(keyed: World) -> None:
    with keyed.services.database.reading() as connection:
        held = connection.execute(select(SigningKey.sealed_private_jwk)).scalars().all()
    assert all(text and text.startswith("k1.") and '"d"' not in text for text in held)
    first, second = rows(keyed.services).values()
    keyed.services.master.open(first["sealed_private_jwk"], place(first["kid"]))
    with pytest.raises(crypto.SealBroken):
        keyed.services.master.open(first["sealed_private_jwk"], place(second["kid"]))
