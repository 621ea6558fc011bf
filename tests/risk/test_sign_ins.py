"""Sign-ins from strange places and known devices, through the pages; and what is on record of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from mmdb import write
from plugins.app import Moving, World
from plugins.factors import SECURITY, give_totp, prove, told
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from authserver import acr
from authserver.app import services_of
from authserver.crypto import b64u, b64u_decode
from authserver.db import table_of
from authserver.login.risk.model import train
from authserver.login.risk.rows import past_of
from authserver.login.risk.training import sign_ins
from authserver.models.sign_in import SignIn, TrustedDevice
from authserver.purge import purge

HOME, ABROAD, ELSEWHERE = "192.0.2.20", "198.51.100.7", "203.0.113.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
rows = table_of(SignIn)
devices = table_of(TrustedDevice)


@pytest.fixture
def world(make_world: Callable[..., World], tmp_path: Path, moving_clock: Moving) -> World:
    world = make_world(risk_geo_database=write(tmp_path / "places.mmdb"))
    add_user(world.services, "alice")
    return world


@dataclass
class Agent(Browser):
    """A browser that says what it is."""

    agent: str = FIREFOX

    def _open(self, method: str, path: str, headers: dict[str, str], **arguments: Any) -> TestResponse:
        return super()._open(method, path, {"User-Agent": self.agent} | headers, **arguments)


def world_of(app: Flask) -> World:
    return World(app, services_of(app))


def sign_in(held: Browser, name: str = "alice", password: str = PASSWORD) -> TestResponse:
    return held.log_in(name, password)


def at_home(world: World) -> Browser:
    """Alice's own browser, signed in."""
    held = Agent(world.app, HOME)
    assert sign_in(held).status_code == 303
    return held


def stranger(world: World, cookie: str | None, address: str = HOME, agent: str = FIREFOX) -> Browser:
    held = Agent(world.app, address, agent)
    if cookie is not None:
        held.set_cookie("device", cookie)
    return held


def assessed(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    """Outcome, reason and detail of each judgement, the oldest first."""
    found = [row for row in world.events() if row["event"] == "risk.assessed"]
    return [(row["outcome"], row["reason"], row["detail"]) for row in found]


def complete(held: Browser) -> bool:
    return held.get("/account").status_code == 200


def user_id(world: World, name: str = "alice") -> str:
    user = world.services.users.find(name)
    assert user is not None
    return user.user_id


def test_the_first_sign_in_and_those_like_it_ask_for_nothing_more(world: World, moving_clock: Moving) -> None:
    held = at_home(world)
    assert complete(held)
    moving_clock.walk(86_400)
    again = stranger(world, held.cookie("device"))
    assert sign_in(again).status_code == 303
    assert complete(again)
    assert again.cookie("device") == held.cookie("device")
    assert [reason for _, reason, _ in assessed(world)] == ["as_usual", "as_usual"]
    assert told(world.app, user_id(world)) == []


def test_minutes_later_on_another_continent_the_right_password_does_not_do(
    world: World, moving_clock: Moving
) -> None:
    at_home(world)
    moving_clock.walk(300)
    far = Agent(world.app, ABROAD, CHROME)
    right = sign_in(far)
    wrong = sign_in(Agent(world.app, ABROAD, CHROME), password="not it at all, is it")
    assert right.status_code == wrong.status_code == 401
    outcome, reason, detail = assessed(world)[-1]
    assert (outcome, reason, detail["verdict"]) == ("denied", "impossible_travel", "deny")
    world.services.risk.settle()
    assert told(world.app, user_id(world)) == ["sign_in_refused"]
    failed = [row["reason"] for row in world.events() if row["event"] == "login.failed"]
    assert failed == ["risk", "bad_password"]
    # and what was refused is nobody's habit
    with world.services.database.reading() as connection:
        completed = connection.execute(
            select(func.count()).select_from(rows).where(rows.c.completed_at.is_not(None))
        )
        assert completed.scalar() == 1


def test_refusals_lock_the_account_as_wrong_passwords_do(world: World, moving_clock: Moving) -> None:
    at_home(world)
    moving_clock.walk(300)
    for _ in range(5):
        assert sign_in(Agent(world.app, ABROAD, CHROME)).status_code == 401
    assert [row["event"] for row in world.events()].count("account.blocked") == 1


def test_a_strange_device_is_confirmed_by_mail_where_there_is_no_second_factor(
    world: World, moving_clock: Moving
) -> None:
    at_home(world)
    moving_clock.walk(7 * 86_400)
    far = Agent(world.app, ABROAD, CHROME)
    assert sign_in(far).status_code == 303
    assert not complete(far)
    assert far.get("/mfa").location == "/confirm-device"
    assert far.cookie("device") is None
    assert assessed(world)[-1][2]["verdict"] == "confirm"
    assert told(world.app, user_id(world)) == ["new_sign_in"]


def test_a_person_with_a_second_factor_is_stepped_up_and_then_known_there(
    world: World, moving_clock: Moving
) -> None:
    given = give_totp(world.app, user_id(world))
    held = at_home(world)
    assert held.cookie("device") is None
    moving_clock.walk(30)
    assert prove(held, given.app.code()).status_code == 303
    assert held.cookie("device")
    moving_clock.walk(7 * 86_400)
    far = Agent(world.app, ABROAD, CHROME)
    assert sign_in(far).status_code == 303
    assert assessed(world)[-1][2]["acr"] == acr.MFA
    assert not complete(far)
    assert prove(far, given.app.code()).status_code == 303
    moving_clock.walk(86_400)
    again = stranger(world, far.cookie("device"), ABROAD, CHROME)
    assert sign_in(again).status_code == 303
    assert assessed(world)[-1][1] == "as_usual"


def test_a_device_never_spares_the_second_factor(world: World, moving_clock: Moving) -> None:
    given = give_totp(world.app, user_id(world))
    held = at_home(world)
    moving_clock.walk(30)
    prove(held, given.app.code())
    moving_clock.walk(3600)
    again = stranger(world, held.cookie("device"))
    sign_in(again)
    assert not complete(again)
    assert again.get("/account").location == "/mfa"


def test_a_device_is_dead_with_a_bit_changed_for_others_and_once_it_was_revoked(world: World) -> None:
    add_user(world.services, "bob")
    trust = world.services.device_trust
    cookie = at_home(world).cookie("device")
    assert cookie is not None
    alice, bob = user_id(world), user_id(world, "bob")
    assert trust.state(alice, cookie, FIREFOX) == "known"
    assert trust.state(alice, cookie, FIREFOX.replace("140", "141")) == "known"
    kid, token, tag = cookie.split(".")
    flipped = b64u(bytes([b64u_decode(tag)[0] ^ 1, *b64u_decode(tag)[1:]]))
    other = ("A" if token[0] != "A" else "B") + token[1:]
    forged = [f"{kid}.{token}.{flipped}", f"{kid}.{other}.{tag}", f"k9.{token}.{tag}", f"{kid}.{token}.", "x"]
    assert {trust.state(alice, one, FIREFOX) for one in forged} == {"mismatch"}
    assert trust.state(bob, cookie, FIREFOX) == "mismatch"
    assert trust.state(alice, cookie, CHROME) == "mismatch"
    (device,) = trust.list(alice, cookie)
    assert device.here
    assert not trust.revoke(bob, device.device_id)
    assert trust.revoke(alice, device.device_id)
    assert not trust.revoke(alice, device.device_id)
    assert trust.state(alice, cookie, FIREFOX) == "mismatch"
    assert trust.list(alice, cookie) == []


def test_a_new_password_forgets_every_device(world: World) -> None:
    cookie = at_home(world).cookie("device")
    token = world.services.links.make(user_id(world), "reset")
    assert world.services.links.redeem(token, "a hash") is not None
    assert world.services.device_trust.state(user_id(world), cookie, FIREFOX) == "mismatch"


def test_a_device_of_some_people_is_known_to_each_by_a_token_of_their_own(
    world: World, moving_clock: Moving
) -> None:
    trust, names = world.services.device_trust, ["alice", "bob", "carol", "dora", "emil"]
    for name in names[1:]:
        add_user(world.services, name)
    left = cookie = at_home(world).cookie("device")
    for name in names[1:]:
        moving_clock.walk(60)
        shared = stranger(world, cookie)
        assert sign_in(shared, name).status_code == 303
        cookie = shared.cookie("device")
        # who was there before, and kept what the browser held then, knows nothing by it of who came later
        assert trust.state(user_id(world, name), left, FIREFOX) == "mismatch"
        left = cookie
        known = [trust.state(user_id(world, one), cookie, FIREFOX) for one in names[: names.index(name) + 1]]
        assert known[-4:] == ["known"] * len(known[-4:])
    # the fifth makes the one go who was there longest ago
    assert known[0] == "mismatch"
    again = stranger(world, cookie)
    assert sign_in(again, "bob").status_code == 303
    assert sorted(str(again.cookie("device")).split("~")) == sorted(str(cookie).split("~"))
    (device,) = trust.list(user_id(world, "bob"), again.cookie("device"))
    assert device.here


def test_a_device_that_was_revoked_gets_a_new_cookie_once_its_person_signs_in_there(world: World) -> None:
    held = at_home(world)
    cookie, trust = held.cookie("device"), world.services.device_trust
    (device,) = trust.list(user_id(world), cookie)
    trust.revoke(user_id(world), device.device_id)
    again = stranger(world, cookie)
    assert sign_in(again).status_code == 303
    assert again.cookie("device") != cookie
    assert trust.state(user_id(world), cookie, FIREFOX) == "mismatch"
    assert trust.state(user_id(world), again.cookie("device"), FIREFOX) == "known"


def test_a_device_that_was_not_used_for_its_lifetime_is_none_and_leaves(
    world: World, moving_clock: Moving
) -> None:
    cookie = at_home(world).cookie("device")
    moving_clock.walk(world.services.device_trust.lifetime)
    assert world.services.device_trust.state(user_id(world), cookie, FIREFOX) == "none"
    assert purge(world.services.database)["trusted_device"] == 1
    moving_clock.walk(world.services.settings.risk_history_days * 86_400)
    assert purge(world.services.database)["sign_in"] == 1


def test_a_token_of_a_master_key_that_was_taken_away_makes_nobody_else_strange(
    world: World, make_app: Callable[..., Flask]
) -> None:
    services, alice = world.services, user_id(world)
    bob, old = add_user(services, "bob"), services.settings.master_keys.get_secret_value()
    with services.database.writing() as connection:
        shared = services.device_trust.remember_in(connection, bob, None, FIREFOX)
    new = f"k2:{b64u(bytes(32))}"
    both = world_of(make_app(master_keys=f"{new},{old}")).services
    with both.database.writing() as connection:
        shared = both.device_trust.remember_in(connection, alice, shared, FIREFOX)
    trust = world_of(make_app(master_keys=new)).services.device_trust
    assert [trust.state(one, shared, FIREFOX) for one in (alice, bob)] == ["known", "mismatch"]
    # what was changed is still no cookie of ours
    assert trust.state(alice, f"{shared.split('~', maxsplit=1)[0]}~k2.x.y", FIREFOX) == "mismatch"


def test_neither_cookie_nor_address_rests(world: World) -> None:
    held = at_home(world)
    token = str(held.cookie("device")).split(".")[1]
    with world.services.database.reading() as connection:
        found = repr([connection.execute(select(t)).mappings().all() for t in (rows, devices)])
    assert token not in found
    assert HOME not in found
    assert "192.0.2" not in found


def test_devices_are_listed_and_forgotten_on_the_page(world: World) -> None:
    held = at_home(world)
    page = held.get(SECURITY)
    assert "Firefox on Linux" in page.text
    assert "this device" in page.text
    done = held.submit(page, "/account/devices/revoke")
    assert done.status_code == 303
    assert "Firefox on Linux" not in held.get(SECURITY).text
    assert world.services.device_trust.state(user_id(world), held.cookie("device"), FIREFOX) == "mismatch"
    assert [row["event"] for row in world.events()].count("device.revoked") == 1


def test_strangers_on_the_same_network_count_and_are_told_apart(world: World) -> None:
    for name in ("bob", "carol", "dora"):
        add_user(world.services, name)
        sign_in(Agent(world.app, HOME), name)
    at_home(world)
    assert assessed(world)[-1][2]["reasons"]["many_people"] == 12


def test_what_a_device_is_known_by_tells_nothing_about_the_verdict(world: World) -> None:
    held = at_home(world)
    (first, *_), (_, token, tag) = [str(held.cookie("device")).split(".")] * 2
    assert (first, len(token), len(tag)) == ("k1", 43, 22)


def test_a_model_asks_for_more_where_no_rule_speaks(
    make_world: Callable[..., World], make_app: Callable[..., Flask], tmp_path: Path, moving_clock: Moving
) -> None:
    first = make_world()
    add_user(first.services, "alice")
    at_home(first)
    model = train(list(sign_ins(first.services.database)) * 2000)
    assert model.learned == 2000
    model.limit = 0.5
    model.write(tmp_path / "model.json")
    world = world_of(make_app(risk_model=tmp_path / "model.json"))
    other = Agent(world.app, ELSEWHERE)
    assert sign_in(other).status_code == 303
    verdict = assessed(world)[-1][2]
    assert verdict["points"] < world.services.settings.risk_step_up
    assert (verdict["verdict"], complete(other)) == ("confirm", False)
    assert verdict["moved"]


def test_history_under_an_older_master_key_still_counts(
    make_world: Callable[..., World], make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    before = make_world()
    add_user(before.services, "alice")
    at_home(before)
    keys = before.services.settings.master_keys.get_secret_value()
    after = world_of(make_app(master_keys=f"k2:{b64u(bytes(32))},{keys}"))
    assert sign_in(Agent(after.app, HOME)).status_code == 303
    assert "new_network" not in assessed(after)[-1][2]["reasons"]
    assert "new_agent" not in assessed(after)[-1][2]["reasons"]


def test_amounts_are_compared_in_their_currency(world: World) -> None:
    at_home(world)
    with world.services.database.writing() as connection:
        connection.execute(update(rows).values(amount=5, currency="EUR"))
    with world.services.database.reading() as connection:
        row = connection.execute(select(rows)).one()
    assert (past_of(row, {}, "EUR").amount, past_of(row, {}, "USD").amount) == (5, None)
