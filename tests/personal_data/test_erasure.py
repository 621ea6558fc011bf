"""What is left of a person who was erased: payments for their time, and a log that tells of nobody."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asking import Asking, answer, decide, payment, start
from plugins.app import Moving, World
from plugins.factors import code_for, give_apps, give_totp, prove, sign_in
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import select, update

from authserver.audit.chain import CHECKPOINT_TYP
from authserver.audit.verify import verify
from authserver.db import Base, table_of
from authserver.errors import NotDone
from authserver.jobs import Jobs
from authserver.models.outbox import Outbox
from authserver.models.user import User
from authserver.personal_data import WAIT_SECONDS
from authserver.personal_data.tables import TABLES, named
from authserver.purge import PAYMENT_KEPT, purge

PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}
ADDRESS = "203.0.113.77"
PHONE = "Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0"


def everything(world: World) -> str:
    """All that rests in the database."""
    with world.services.database.reading() as connection:
        return str([connection.execute(select(table)).all() for table in Base.metadata.sorted_tables])


def rows_of(world: World, user_id: str) -> dict[str, int]:
    """How many rows of each table name the person."""
    found = {}
    with world.services.database.reading() as connection:
        for name in TABLES:
            table = Base.metadata.tables[name]
            query = select(table).where(table.c.user_id == user_id)
            found[name] = len(connection.execute(query).all())
    return {name: count for name, count in found.items() if count}


def whole(world: World) -> bool:
    services = world.services
    services.sealer.seal()
    read = services.keys.verify_checkpoint
    return verify(services.database, services.master, lambda jws: read(jws, CHECKPOINT_TYP)).whole


@pytest.fixture
def lived(asking: Asking, moving_clock: Moving) -> Browser:
    """Alice, with something in every table that can hold something of her."""
    services, alice = asking.world.services, asking.alice
    give_apps(services)
    browser = Browser(asking.app, address=ADDRESS)
    page = browser.get("/login", User_Agent=PHONE)
    fields = re.findall(r'name="csrf" value="([^"]+)"', page.text)
    form = {"csrf": fields[0], "username": "alice", "password": PASSWORD}
    browser.post("/login", form, User_Agent=PHONE)
    prove(browser, code_for(services, browser.cookie("sid")))
    asking.redeem(answer(decide(browser, start(browser)))["code"])
    asking.redeem(answer(decide(browser, start(browser, "pay1", **PAYS)))["code"], "pay1")
    browser.submit(browser.get("/account/email"), "/account/email", email="new@example.net")
    services.links.make(alice, "reset")
    own = {"name": "Alice Unmistakable", "phone": "+4915112345678", "language": "de"}
    users = table_of(User)
    with services.database.writing() as connection:
        connection.execute(update(users).where(users.c.user_id == alice).values(own))
    return browser


def fill(world: World, user_id: str) -> None:
    """Every table whose rows go with the person has one of theirs, made up where it had none."""
    kinds: dict[type, Any] = {str: "x", int: 1, bytes: b"x" * 32, bool: False, dict: [], object: []}
    for table in named("removed"):
        if rows_of(world, user_id).get(table.name):
            continue
        row = {column.name: kinds[column.type.python_type] for column in table.columns}
        with world.services.database.writing() as connection:
            connection.execute(table.insert().values(row | {"user_id": user_id}))


def test_erasing_takes_all_that_names_the_person_and_the_chain_holds(asking: Asking, lived: Browser) -> None:
    world, alice = asking.world, asking.alice
    bob = add_user(world.services, "bob")
    give_totp(asking.app, bob)
    services = world.services
    fill(world, alice)
    assert {table.name for table in named("removed")} <= set(rows_of(world, alice))
    of_bob = rows_of(world, bob)
    services.erasure.erase(alice)
    left = rows_of(world, alice)
    assert set(left) == {"user_account", "authorization", "payment_evidence", "person_key", "audit_event"}
    assert rows_of(world, bob) == of_bob
    dump = everything(world)
    for personal in ("Unmistakable", "+4915112345678", ADDRESS, PHONE, "new@example.net"):
        assert personal not in dump, personal
    assert "alice@example.com" not in dump
    assert whole(world)
    (row,) = asking.events("user.erased")
    assert (row["user_id"], row["reason"]) == (alice, "by_operator")
    assert {event["client_ip"] for event in asking.events("login.succeeded")} == {"erased"}
    # nobody is let in, by what they hold or by what they know
    assert lived.get("/account").location == "/login"
    assert Browser(asking.app).log_in().status_code == 401
    with pytest.raises(NotDone):
        services.users.enable(alice)
    with pytest.raises(NotDone):
        services.links.make(alice, "reset")
    with pytest.raises(NotDone):
        services.erasure.erase(alice)
    # somebody else may have the name
    assert add_user(services, "alice") != alice


def test_payments_stay_for_their_time_and_all_else_leaves_with_the_next_purge(
    asking: Asking, lived: Browser, moving_clock: Moving
) -> None:
    world, alice = asking.world, asking.alice
    world.services.erasure.erase(alice)
    moving_clock.walk(3700)
    purge(world.services.database)
    left = rows_of(world, alice)
    assert (left["authorization"], left["payment_evidence"]) == (1, 1)
    assert "Merchant A" in everything(world)
    moving_clock.walk(PAYMENT_KEPT)
    purge(world.services.database)
    assert set(rows_of(world, alice)) == {"user_account", "person_key", "audit_event"}


def test_what_was_allowed_ends_at_once(asking: Asking, lived: Browser) -> None:
    other = Browser(asking.app)
    sign_in(other)
    scope = "openid accounts:read offline_access"
    body = asking.redeem(answer(decide(other, start(other, scope=scope, prompt="consent")))["code"]).json
    asking.world.services.erasure.erase(asking.alice)
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    assert asking.world.post("/token", as_="shop", form=form).status_code == 400
    told = asking.world.post("/introspect", as_="rs_accounts", form={"token": body["access_token"]})
    assert not told.json["active"]


def test_a_wish_waits_a_week_and_can_be_taken_back(
    asking: Asking, lived: Browser, moving_clock: Moving
) -> None:
    services, alice = asking.world.services, asking.alice
    (session,) = services.sessions.list(alice)
    assert services.erasure.request(session)
    # a second wish changes nothing
    moving_clock.walk(60)
    assert services.erasure.request(session)
    due = services.erasure.due_at(alice)
    assert due == moving_clock.at - 60 + WAIT_SECONDS
    moving_clock.walk(WAIT_SECONDS - 61)
    Jobs(services).run_due()
    assert services.users.must(alice).active
    assert services.erasure.cancel(alice)
    assert not services.erasure.cancel(alice)
    moving_clock.walk(10)
    assert (services.erasure.due(), services.erasure.carry_out()) == (False, 0)
    assert services.users.must(alice).active
    assert len(asking.events("user.erasure.requested")) == 1
    assert len(asking.events("user.erasure.cancelled")) == 1


def test_whom_an_operator_disables_while_wishes_are_carried_out_is_not_erased(
    asking: Asking, lived: Browser, moving_clock: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, alice = asking.world.services, asking.alice
    services.erasure.request(services.sessions.list(alice)[0])
    moving_clock.walk(WAIT_SECONDS)
    # read before the operator came
    read = select(table_of(User).c.user_id).where(table_of(User).c.user_id == alice)
    monkeypatch.setattr(services.erasure, "_waited", lambda: read)
    services.users.disable(alice)
    assert services.erasure.carry_out() == 0
    assert services.users.must(alice).state == "disabled"
    assert services.erasure.due_at(alice) is not None


def test_a_wish_that_was_not_taken_back_is_carried_out_by_a_job_and_told_once(
    asking: Asking, lived: Browser, moving_clock: Moving
) -> None:
    services, alice = asking.world.services, asking.alice
    services.erasure.request(services.sessions.list(alice)[0])
    moving_clock.walk(WAIT_SECONDS)
    Jobs(services).run_due()
    assert services.users.must(alice).state == "erased"
    assert asking.reasons("user.erased") == ["by_user"]
    outbox = table_of(Outbox)
    with services.database.reading() as connection:
        (mail,) = connection.execute(select(outbox)).all()
    # in the person's language, to an address that is nobody's any more
    assert (mail.template, mail.user_id, mail.language) == ("account_erased", "", "de")
    content = services.master.open(mail.sealed, f"outbox.sealed.{mail.id}").decode()
    assert "alice@example.com" in content
    assert "Unmistakable" not in content
    assert not services.erasure.due()
