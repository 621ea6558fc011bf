"""What each request costs in statements, counted on the connection itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from journey import Journey
from plugins.app import World
from plugins.people import Browser, add_user, hidden_fields
from registering import OWN, call, invite, manage, registered
from sqlalchemy import event

from authserver.db import Database, Insert
from authserver.services import Services


@contextmanager
def statements(services: Services) -> Iterator[list[str]]:
    """Every statement that reaches the database, transactions' own words left out."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            # PostgreSQL quotes the name of a table that is a word of its own
            seen.append(" ".join(statement.replace('"', "").split()[:4]))

    def note_insert(database: Database, added: Insert, rows: Any) -> None:
        note(None, None, added.statement(rows)[0])
        insert(database, added, rows)

    insert = Database.insert
    event.listen(services.database.engine, "before_cursor_execute", note)
    try:
        # what goes to the driver past the engine
        with mock.patch.object(Database, "insert", note_insert):
            yield seen
    finally:
        event.remove(services.database.engine, "before_cursor_execute", note)


@pytest.fixture
def warm(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose caches were confirmed a moment ago and stay so for the test."""
    world = make_world(cache_confirm_ms=1000)
    world.token()
    world.post("/introspect", as_="rs_payments", form={"token": "x"})
    world.send("GET", "/revocations")
    monkeypatch.setattr(world.services.versions, "_lifetime", 3600.0)
    world.services.versions.current()
    return world


def test_a_token_costs_one_insert_and_no_read(warm: World) -> None:
    with statements(warm.services) as seen:
        assert warm.token().status_code == 200
    assert seen == ["INSERT INTO audit_event (at_ms,"]


def test_introspection_costs_one_read_and_one_insert(warm: World) -> None:
    token = warm.access_token()
    with statements(warm.services) as seen:
        assert warm.post("/introspect", as_="rs_payments", form={"token": token}).json["active"]
    assert seen == ["SELECT revocation.kind FROM revocation", "INSERT INTO audit_event (at_ms,"]


def test_revocation_is_one_transaction_of_three_statements(warm: World) -> None:
    token = warm.access_token()
    with statements(warm.services) as seen:
        assert warm.post("/revoke", as_="svc1", form={"token": token}).status_code == 200
    assert [s.split()[0] for s in seen] == ["INSERT", "UPDATE", "INSERT"]


@pytest.fixture
def journey(warm: World, monkeypatch: pytest.MonkeyPatch) -> Journey:
    """A person with tokens, every cache warm."""
    journey = Journey(warm).prepare()
    journey.userinfo(journey.tokens()["access_token"])
    warm.services.versions.current()
    return journey


def test_a_code_costs_one_read_and_a_transaction_of_four_statements(journey: Journey) -> None:
    code = journey.code()
    with statements(journey.world.services) as seen:
        assert journey.redeem(code).status_code == 200
    assert [s.split()[0] for s in seen] == ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"]


def test_a_refresh_costs_one_read_and_a_transaction_of_four_statements(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    with statements(journey.world.services) as seen:
        assert journey.refresh(token).status_code == 200
    assert [s.split()[0] for s in seen] == ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"]


def test_a_token_that_was_never_given_out_costs_an_insert_and_by_its_form_no_read(journey: Journey) -> None:
    for token, expected in (("short", ["INSERT"]), ("x" * 43, ["SELECT", "INSERT"])):
        with statements(journey.world.services) as seen:
            assert journey.refresh(token).status_code == 400
        assert [s.split()[0] for s in seen] == expected


def test_a_replay_is_one_transaction_of_seven_statements(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    journey.refresh(token)
    with statements(journey.world.services) as seen:
        assert journey.refresh(token).status_code == 400
    # read; replay on record; end, list and its version, end on record; the refusal on record
    assert [s.split()[0] for s in seen] == [
        "SELECT", "INSERT", "SELECT", "UPDATE", "INSERT", "UPDATE", "INSERT", "INSERT",
    ]  # fmt: skip


def test_userinfo_costs_one_read(journey: Journey) -> None:
    token = journey.tokens()["access_token"]
    with statements(journey.world.services) as seen:
        assert journey.userinfo(token).status_code == 200
    assert seen == ["SELECT authorization.user_id, EXISTS (SELECT"]


def test_introspection_of_a_persons_token_costs_what_a_clients_does(journey: Journey) -> None:
    token = journey.tokens()["access_token"]
    journey.active(token)
    with statements(journey.world.services) as seen:
        assert journey.active(token)
    assert seen == ["SELECT authorization.user_id, EXISTS (SELECT", "INSERT INTO audit_event (at_ms,"]


def test_revoking_a_refresh_token_is_one_read_and_one_transaction(journey: Journey) -> None:
    token = journey.tokens()["refresh_token"]
    with statements(journey.world.services) as seen:
        assert journey.world.post("/revoke", as_="shop", form={"token": token}).status_code == 200
    assert [s.split()[0] for s in seen] == [
        "SELECT", "SELECT", "UPDATE", "INSERT", "UPDATE", "INSERT", "INSERT",
    ]  # fmt: skip


def test_a_preflight_costs_nothing(journey: Journey) -> None:
    headers = {"Origin": "https://client.example"}
    journey.world.send("OPTIONS", "/token", headers=headers)
    with statements(journey.world.services) as seen:
        assert journey.world.send("OPTIONS", "/token", headers=headers).status_code == 204
    assert seen == []


def test_a_retry_within_the_grace_locks_what_a_refresh_does(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(cache_confirm_ms=1000, refresh_grace_seconds=60)
    journey = Journey(world).prepare()
    token = journey.tokens()["refresh_token"]
    monkeypatch.setattr(world.services.versions, "_lifetime", 3600.0)
    for expected in (
        ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"],
        # its own time of use, and its successor, instead of a successor
        ["SELECT", "UPDATE", "SELECT", "UPDATE", "SELECT", "INSERT"],
    ):
        with statements(world.services) as seen:
            assert journey.refresh(token).status_code == 200
        assert [s.split()[0] for s in seen] == expected


def test_pages_of_the_account_cost_a_read_for_each_list(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(cache_confirm_ms=1000)
    services = world.services
    user_id = add_user(services, "alice")
    browser = Browser(world.app)
    browser.log_in()
    journey = Journey(world, user_id)
    for client_id in ("web1", "web2", "svc1"):
        journey.consent(client_id)
    for path in ("/account", "/account/consents", "/account/sessions", "/account/activity"):
        browser.get(path)
    monkeypatch.setattr(services.versions, "_lifetime", 3600.0)
    with statements(services) as seen:
        page = browser.get("/account/consents")
    # however many clients there are in it: the session, what is allowed, what was paid
    assert page.text.count("Withdraw") == 2 * 3
    assert [s.split()[0] for s in seen] == ["SELECT"] * 3
    with statements(services) as seen:
        browser.get("/account/consents?notice=withdrawn&client=web1&allowed=2&payments=3&x=1")
    assert [s.split()[0] for s in seen] == ["SELECT"] * 4
    with statements(services) as seen:
        assert browser.get("/account/sessions?sessions=9999").status_code == 200
    assert [s.split()[0] for s in seen] == ["SELECT"] * 2
    with statements(services) as seen:
        assert "Password accepted" in browser.get("/account/activity").text
    # the session, the rows, and the key of whom they are about
    assert [s.split()[0] for s in seen] == ["SELECT"] * 3
    with statements(services) as seen:
        assert browser.get("/account/password").status_code == 200
    # the session, and twice whether there is an app or a passkey: whether the password may be changed now,
    # and how long a new one must be, depend on it
    assert [s.split()[0] for s in seen] == ["SELECT"] * 3
    with statements(services) as seen:
        assert browser.submit(page, "/account/consents/withdraw").status_code == 303
    # the session; the grant, what stood on it, and its row
    assert [s.split()[0] for s in seen] == ["SELECT", "UPDATE", "SELECT", "INSERT"]
    # somebody else's payment, or none: the session, whose it is, and nothing to end
    fields = hidden_fields(page.text, "/account/consents/withdraw") | {"payment": "x"}
    with statements(services) as seen:
        assert browser.post("/account/payments/withdraw", fields).status_code == 404
    assert [s.split()[0] for s in seen] == ["SELECT"] * 3


@pytest.mark.parametrize("path", ["/jwks", "/.well-known/openid-configuration", "/revocations", "/healthz"])
def test_public_documents_cost_nothing_while_they_are_fresh(warm: World, path: str) -> None:
    warm.send("GET", path)
    with statements(warm.services) as seen:
        assert warm.send("GET", path).status_code == 200
    assert seen == []


def test_a_refused_client_costs_one_insert_and_at_most_one_look(warm: World) -> None:
    warm.post("/token", headers={"Authorization": "Basic c3ZjMTp3cm9uZw=="}, form={"grant_type": "x"})
    with statements(warm.services) as seen:
        response = warm.post(
            "/token",
            headers={"Authorization": "Basic c3ZjMTp3cm9uZw=="},
            form={"grant_type": "client_credentials"},
        )
    assert response.status_code == 401
    assert seen == ["INSERT INTO audit_event (at_ms,"]


def test_confirming_the_caches_is_one_small_query_for_all_of_them(warm: World) -> None:
    warm.services.versions.forget()
    with statements(warm.services) as seen:
        warm.token()
        warm.token()
    assert seen == [
        "SELECT cache_version.name, cache_version.version FROM",
        "INSERT INTO audit_event (at_ms,",
        "INSERT INTO audit_event (at_ms,",
    ]


def test_registering_is_one_read_and_one_transaction_and_a_refused_one_an_insert(warm: World) -> None:
    token = invite(warm)
    with statements(warm.services) as seen:
        assert call(warm, "POST", "/register", token, OWN).status_code == 201
    # look at the token; reserve; id, version, client, secret, on record; registration, on record
    assert [s.split()[0] for s in seen] == [
        "SELECT", "UPDATE", "SELECT", "UPDATE", "INSERT", "INSERT", "INSERT", "INSERT", "INSERT",
    ]  # fmt: skip
    warm.services.versions.current()
    with statements(warm.services) as seen:
        assert call(warm, "POST", "/register", "x" * 43, OWN).status_code == 401
    assert [s.split()[0] for s in seen] == ["SELECT", "INSERT"]
    warm.services.versions.current()
    with statements(warm.services) as seen:
        assert call(warm, "POST", "/register", "short", OWN).status_code == 401
    assert [s.split()[0] for s in seen] == ["INSERT"]


def test_looking_after_a_registration_is_one_read_and_what_it_changes(warm: World) -> None:
    told = registered(warm, OWN)
    budgets = {
        # read, and from where; on record
        "GET": ["SELECT", "SELECT", "INSERT"],
        # read it, from where, and its policy; version, client, registration, on record
        "PUT": ["SELECT", "SELECT", "SELECT", "UPDATE", "UPDATE", "UPDATE", "INSERT"],
        # read, and from where; version, client, secrets and networks, registration; no grants, nothing to
        # end; on record
        "DELETE": [
            "SELECT", "SELECT", "UPDATE", "UPDATE", "DELETE", "DELETE", "DELETE", "SELECT", "SELECT",
            "INSERT",
        ],
    }  # fmt: skip
    for method, expected in budgets.items():
        warm.services.scopes.all()
        warm.services.keys.published()
        warm.services.clients.get(told["client_id"])
        with statements(warm.services) as seen:
            document = OWN | {"client_id": told["client_id"]} if method == "PUT" else None
            assert manage(warm, method, told, document).status_code in (200, 204)
        assert [s.split()[0] for s in seen] == expected, method


def test_an_opaque_token_costs_its_row_and_each_question_about_it_one_read_more(journey: Journey) -> None:
    world = journey.world
    for client_id in ("shop", "svc1"):
        world.services.clients.set_answers(client_id, "opaque", None)
    body = journey.tokens()
    world.access_token()
    journey.userinfo(body["access_token"])
    world.services.versions.current()
    code = journey.code()
    with statements(world.services) as seen:
        own = world.access_token()
    assert [s.split()[0] for s in seen] == ["INSERT", "INSERT"]
    budgets = [
        # the code or refresh token; spent, alive, its successor, the access token, on record
        (lambda: journey.redeem(code), ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT", "INSERT"]),
        (
            lambda: journey.refresh(body["refresh_token"]),
            ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT", "INSERT"],
        ),
        # the token, and whether it still counts
        (lambda: journey.userinfo(body["access_token"]), ["SELECT", "SELECT"]),
        (
            lambda: world.post("/introspect", as_="rs_payments", form={"token": own}),
            ["SELECT", "SELECT", "INSERT"],
        ),
        # what was never given out is told by its form, or by one look
        (
            lambda: world.post("/introspect", as_="rs_payments", form={"token": f"at_{'x' * 43}"}),
            ["SELECT", "INSERT"],
        ),
        (lambda: world.post("/introspect", as_="rs_payments", form={"token": "at_x"}), ["INSERT"]),
    ]
    for ask, expected in budgets:
        with statements(world.services) as seen:
            assert ask().status_code == 200
        assert [s.split()[0] for s in seen] == expected


def test_pairwise_subjects_cost_no_statement_once_the_process_has_their_key(journey: Journey) -> None:
    world = journey.world
    world.services.clients.set_subjects("shop", "pairwise", None)
    journey.tokens()
    world.services.versions.current()
    code = journey.code(scope="openid")
    with statements(world.services) as seen:
        tokens = journey.redeem(code).json
    assert [s.split()[0] for s in seen] == ["SELECT", "UPDATE", "SELECT", "INSERT", "INSERT"]
    with statements(world.services) as seen:
        assert journey.userinfo(tokens["access_token"]).json["sub"] != journey.user_id
    assert [s.split()[0] for s in seen] == ["SELECT"]
