"""Pairwise subjects: what a client calls a person, and what nobody can make of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import CALLBACK, OTHER_CALLBACK, Asking, answer, decide, follow, start
from journey import claims_of
from plugins.app import MASTER, World
from plugins.people import Browser
from receiver import Receiver, verified
from sqlalchemy import delete, select

from authserver import crypto
from authserver.clients import ClientRecord
from authserver.db import table_of
from authserver.models.session import Session
from authserver.oauth.subjects import Subjects, table

BYE = "https://client.example/bye"
SECOND = "k2:" + crypto.b64u(bytes(range(32, 64)))


@pytest.fixture
def client(world: World) -> ClientRecord:
    found = world.services.clients.get("web1")
    assert found is not None
    return replace(found, subject_type="pairwise", sector="shop.example")


def subjects(world: World, master: str = MASTER) -> Subjects:
    """As a process has them that has just started."""
    return Subjects(world.services.database, world.services.clients, crypto.MasterKeys.parse(master))


@pytest.mark.spec("OpenID Connect Core 1.0", "8.1")
def test_a_person_is_one_to_a_sector_and_another_to_every_other(world: World, client: ClientRecord) -> None:
    known = subjects(world)
    sibling = replace(client, client_id="web2")
    elsewhere = replace(client, sector="other.example")
    mine = known.subject_of(client, "u1")
    assert known.subject_of(sibling, "u1") == mine
    others = {known.subject_of(elsewhere, "u1"), known.subject_of(client, "u2"), "u1"}
    assert len(others | {mine}) == 4
    assert len(crypto.b64u_decode(mine)) == 32
    # who is asked about is a client's of this server
    assert known.known_as("web1", "u1") == "u1"
    assert known.known_as("nobody", "u1") == ""


def test_a_public_client_knows_people_by_their_own_id(world: World, client: ClientRecord) -> None:
    public = replace(client, subject_type="public")
    known = subjects(world)
    assert (known.subject_of(public, "u1"), known.session_of(public, "s1")) == ("u1", "s1")
    with world.services.database.reading() as connection:
        assert connection.execute(select(table)).first() is None


def test_sessions_do_not_tell_sectors_who_is_who(world: World, client: ClientRecord) -> None:
    known = subjects(world)
    elsewhere = replace(client, sector="other.example")
    assert len({known.session_of(client, "x"), known.session_of(elsewhere, "x"), "x"}) == 3
    # nor is one word of a person's the word for their session
    assert known.session_of(client, "x") != known.subject_of(client, "x")


def test_the_key_outlives_the_master_key_it_was_made_under(world: World, client: ClientRecord) -> None:
    before = subjects(world).subject_of(client, "u1")
    both = subjects(world, f"{SECOND},{MASTER}")
    assert both.subject_of(client, "u1") == before
    assert both.sealed_by_another()
    both.reseal()
    assert not both.sealed_by_another()
    # the old one may go
    assert subjects(world, SECOND).subject_of(client, "u1") == before


def test_without_its_key_in_the_database_nobody_is_known_again(world: World, client: ClientRecord) -> None:
    before = subjects(world).subject_of(client, "u1")
    with world.services.database.writing() as connection:
        connection.execute(delete(table))
    # the master key alone does not make it
    assert subjects(world).subject_of(client, "u1") != before


def test_processes_that_start_at_once_agree_on_one_key(world: World, client: ClientRecord) -> None:
    fresh = [subjects(world) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(lambda known: known.subject_of(client, "u1"), fresh))
    assert len(told) == 1


# --- in all that is told ------------------------------------------------------------------------------


@pytest.fixture
def pairwise(asking: Asking) -> Iterator[tuple[Asking, Receiver]]:
    """``shop`` and ``shop2`` know people by ids of their own, ``lax1`` by everybody's; ``shop`` hears."""
    with Receiver() as receiver:
        clients = asking.world.services.clients
        clients.set_subjects("shop", "pairwise", None)
        clients.set_subjects("shop2", "pairwise", None)
        clients.set_logout("shop", ["https://client.example/bye"], receiver.uri)
        asking.world.services.versions.forget()
        yield asking, receiver


def tokens_of(stage: Asking, browser: Browser, client_id: str) -> dict[str, Any]:
    callback = OTHER_CALLBACK if client_id == "shop2" else CALLBACK
    page = start(browser, client_id, redirect_uri=callback)
    code = answer(follow(browser, decide(browser, page)), callback)["code"]
    body = stage.redeem(code, client_id, redirect_uri=callback)
    assert body.status_code == 200, body.data
    return dict(body.json)


@pytest.mark.spec("RFC 9068", "6")
@pytest.mark.spec("OpenID Connect Core 1.0", "5.3.2")
def test_a_client_and_its_apis_hear_one_name_of_a_person_everywhere(
    pairwise: tuple[Asking, Receiver],
) -> None:
    stage, receiver = pairwise
    world, browser = stage.world, stage.browser(logged_in=True)
    body = tokens_of(stage, browser, "shop")
    id_token, access = claims_of(body["id_token"]), claims_of(body["access_token"])
    subject = id_token["sub"]
    assert subject != stage.alice
    assert access["sub"] == subject
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert world.send("GET", "/userinfo", headers=headers).json["sub"] == subject
    asked = {"token": body["access_token"]}
    assert world.post("/introspect", as_="rs_accounts", form=asked).json["sub"] == subject
    # a refreshed token, an opaque one
    world.services.clients.set_answers("shop", "opaque", "ES256")
    world.services.versions.forget()
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    fresh = world.post("/token", as_="shop", form=form).json["access_token"]
    assert world.post("/introspect", as_="rs_accounts", form={"token": fresh}).json["sub"] == subject
    signed = world.send("GET", "/userinfo", headers={"Authorization": f"Bearer {fresh}"})
    assert claims_of(signed.text)["sub"] == subject
    # the ID token names this session, and its end is told by the same names
    query = urlencode({"id_token_hint": body["id_token"], "post_logout_redirect_uri": BYE})
    assert browser.get(f"/end_session?{query}").headers["Location"] == BYE
    assert browser.get("/account").status_code != 200
    assert world.services.backchannel_logout.deliver() == 1
    told = verified(world, receiver.heard[0].token)
    assert (told["sub"], told["sid"]) == (subject, id_token["sid"])
    # the log knows who it was
    issued = world.events("token.issued")[-1]
    assert issued["user_id"] == stage.alice
    assert subject not in str(world.events())


def test_nothing_in_two_sectors_tokens_says_that_it_is_one_person(pairwise: tuple[Asking, Receiver]) -> None:
    stage, _ = pairwise
    browser = stage.browser(logged_in=True)
    told: dict[str, dict[str, str]] = {}
    for client_id in ("shop", "shop2", "lax1"):
        body = tokens_of(stage, browser, client_id)
        claims = {**claims_of(body["id_token"]), **claims_of(body["access_token"])}
        told[client_id] = {name: str(value) for name, value in claims.items()}
    # what everybody's tokens have alike, or at the same time; of a person and a session there is nothing
    alike = {"iss", "scope", "acr", "amr", "nonce", "aud", "iat", "exp", "auth_time"}
    for one, two in (("shop", "shop2"), ("shop", "lax1")):
        shared = {name for name in told[one] if told[one][name] == told[two].get(name)}
        assert shared <= alike, (one, two, shared - alike)
    assert told["lax1"]["sub"] == stage.alice


def test_a_hint_of_another_sector_or_of_everybodys_id_names_no_session_here(
    pairwise: tuple[Asking, Receiver],
) -> None:
    stage, _ = pairwise
    world, browser = stage.world, stage.browser(logged_in=True)
    right = claims_of(tokens_of(stage, browser, "shop")["id_token"])
    foreign = claims_of(tokens_of(stage, browser, "shop2")["id_token"])
    with world.services.database.reading() as connection:
        sid = connection.execute(select(table_of(Session).c.sid)).scalar_one()
    for change in (
        {"sub": stage.alice}, {"sid": sid}, {"sub": stage.alice, "sid": sid},
        {"sub": foreign["sub"], "sid": foreign["sid"]},
    ):  # fmt: skip
        hint = world.services.keys.sign("JWT", right | change, "ES256")
        assert "Sign out?" in browser.get(f"/end_session?id_token_hint={hint}").text
    assert browser.get("/account").status_code == 200


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_a_request_names_people_as_its_client_knows_them(pairwise: tuple[Asking, Receiver]) -> None:
    stage, _ = pairwise
    world, browser = stage.world, stage.browser(logged_in=True)
    body, foreign = (tokens_of(stage, browser, client_id) for client_id in ("shop", "shop2"))
    right = claims_of(body["id_token"])

    def error(**asked: str) -> str:
        told = answer(start(browser, "shop", prompt="none", **asked))
        return told.get("error", "")

    def wants(subject: str) -> str:
        return error(claims=json.dumps({"id_token": {"sub": {"value": subject}}}))

    assert error(id_token_hint=body["id_token"]) == ""
    assert wants(right["sub"]) == ""
    # everybody's id, and the one of another sector, name nobody here
    other = claims_of(foreign["id_token"])["sub"]
    for subject in (stage.alice, other):
        hint = world.services.keys.sign("JWT", right | {"sub": subject}, "ES256")
        assert error(id_token_hint=hint) == "login_required"
        assert wants(subject) == "login_required"


def test_when_an_operator_changes_the_ids_tokens_by_the_old_ones_count_no_longer(
    pairwise: tuple[Asking, Receiver],
) -> None:
    stage, _ = pairwise
    world, browser = stage.world, stage.browser(logged_in=True)
    body = tokens_of(stage, browser, "shop")
    world.services.clients.set_subjects("shop", "public", None)
    world.services.versions.forget()
    asked = {"token": body["access_token"]}
    assert world.post("/introspect", as_="rs_accounts", form=asked).json == {"active": False}
    assert world.events("introspection.denied")[-1]["reason"] == "subject"
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    fresh = world.post("/token", as_="shop", form=form).json
    assert claims_of(fresh["access_token"])["sub"] == stage.alice
