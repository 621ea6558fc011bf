"""Attempts: counted before they are judged, also when many come at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from plugins.app import Moving, World
from plugins.people import PASSWORD, add_user
from sqlalchemy import update

from authserver.login import Browser
from authserver.services import Services
from authserver.users import LOCK_SECONDS, Attempts
from authserver.users.registry import users as table

HERE = Browser("192.0.2.7", "test", None)


def attempt(services: Services, name: str = "alice", password: str = "wrong") -> bool:
    return services.password_login.attempt(name, password, HERE) is not None


@pytest.fixture
def world(app: Flask, services: Services, alice: str) -> World:
    return World(app, services)


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events("login.failed")]


def test_fifty_guesses_at_once_are_five_attempts(world: World, alice: str) -> None:
    services = world.services
    with ThreadPoolExecutor(25) as pool:
        numbers = list(pool.map(lambda _: Attempts(services.database).reserve(alice), range(50)))
    assert sorted(numbers)[-5:] == [1, 2, 3, 4, 5]
    assert sorted(numbers)[:-5] == [0] * 45
    user = services.users.must(alice)
    assert user.failures == 5
    assert user.locked_until is not None


def test_fifty_wrong_passwords_at_once_are_five_that_were_looked_at(world: World, alice: str) -> None:
    with ThreadPoolExecutor(25) as pool:
        assert not any(pool.map(lambda _: attempt(world.services), range(50)))
    assert sorted(reasons(world)) == ["bad_password"] * 5 + ["blocked"] * 45
    assert len(world.events("account.blocked")) == 1


def test_the_right_password_among_guesses_at_once_is_no_way_in_once_five_were_counted(
    world: World, alice: str
) -> None:
    services = world.services
    for _ in range(5):
        assert not attempt(services)
    with ThreadPoolExecutor(10) as pool:
        assert not any(pool.map(lambda _: attempt(services, password=PASSWORD), range(20)))
    assert reasons(world) == ["bad_password"] * 5 + ["blocked"] * 20


@pytest.mark.spec("PSD2 RTS", "4(3)(b)")
def test_the_fifth_failure_blocks_for_half_an_hour(world: World, alice: str, moving_clock: Moving) -> None:
    services = world.services
    for _ in range(5):
        assert not attempt(services)
    (blocked,) = world.events("account.blocked")
    assert (blocked["reason"], blocked["user_id"], blocked["actor"]) == ("five_failures", alice, "anonymous")
    assert not attempt(services, password=PASSWORD)
    moving_clock.walk(LOCK_SECONDS - 1)
    assert not attempt(services, password=PASSWORD)
    moving_clock.walk(1)
    assert attempt(services, password=PASSWORD)
    assert services.users.must(alice).failures == 0


def test_after_a_block_five_more_guesses_block_again(world: World, alice: str, moving_clock: Moving) -> None:
    for _ in range(7):
        attempt(world.services)
    moving_clock.walk(LOCK_SECONDS)
    for _ in range(7):
        attempt(world.services)
    assert reasons(world) == (["bad_password"] * 5 + ["blocked"] * 2) * 2
    assert len(world.events("account.blocked")) == 2


def test_a_right_fifth_attempt_blocks_nobody(world: World, alice: str) -> None:
    for _ in range(4):
        attempt(world.services)
    assert attempt(world.services, password=PASSWORD)
    assert world.events("account.blocked") == []
    user = world.services.users.must(alice)
    assert (user.failures, user.locked_until) == (0, None)


def test_each_reason_is_in_the_log_and_nowhere_else(world: World, alice: str) -> None:
    services = world.services
    add_user(services, "invited", None)
    services.users.disable(add_user(services, "disabled"))
    for name in ("ghost", "alice", "invited", "disabled"):
        assert not attempt(services, name)
        assert not attempt(services, name, "x" * 2000)
    assert reasons(world)[::2] == ["unknown_user", "bad_password", "unverified", "disabled"]
    assert reasons(world)[1::2] == ["bad_password"] * 4


def test_a_disabled_person_does_not_get_in_with_the_right_password(world: World, alice: str) -> None:
    world.services.users.disable(alice)
    assert not attempt(world.services, password=PASSWORD)
    assert reasons(world) == ["disabled"]


def test_a_person_disabled_while_the_hash_is_made_does_not_get_in(
    world: World, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = world.services
    hasher = services.password_login._hasher
    real = hasher.verify

    def slow(hash_: str | None, password: str) -> bool:
        fits = real(hash_, password)
        services.users.disable(alice)
        return fits

    monkeypatch.setattr(hasher, "verify", slow)
    assert not attempt(services, password=PASSWORD)
    assert reasons(world) == ["changed_meanwhile"]
    assert services.sessions.list(alice) == []


def test_a_hash_of_another_cost_is_made_anew_at_login(world: World, alice: str) -> None:
    services = world.services
    from authserver.config import Settings
    from authserver.login import PasswordHasher

    costly = PasswordHasher(Settings.load({}, argon2_memory_kib=16, argon2_time_cost=2))
    with services.database.writing() as connection:
        connection.execute(update(table).values(password_hash=costly.hash(PASSWORD)))
    assert attempt(services, password=PASSWORD)
    assert "m=8,t=1" in str(services.users.must(alice).password_hash)
    assert attempt(services, password=PASSWORD)


def test_a_full_queue_counts_against_nobody(world: World, alice: str) -> None:
    from contextlib import ExitStack

    from authserver.errors import Unavailable

    hasher = world.services.password_login._hasher
    with ExitStack() as stack:
        for _ in range(34):
            stack.enter_context(hasher.place())
        with pytest.raises(Unavailable):
            attempt(world.services)
    assert world.services.users.must(alice).failures == 0


@pytest.mark.parametrize("name", ["ALICE", " alice ", "ＡＬＩＣＥ", "Alice@Example.com"])
def test_a_name_is_found_in_every_spelling(world: World, alice: str, name: str) -> None:
    assert attempt(world.services, name, PASSWORD)


@pytest.mark.parametrize("name", ["", "alice@", "@example.com", "a" * 10_000, "ali\u200bce", "%", "'--"])
def test_no_other_name_is(world: World, alice: str, name: str) -> None:
    assert not attempt(world.services, name, PASSWORD)
    assert reasons(world) == ["unknown_user"]
