"""What an operator does at night: look at a token, end tokens, sessions and grants, find what happened."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from journey import Journey, claims_of
from plugins.app import MASTER, Moving, World
from sqlalchemy import insert, update

from authserver import clock, leases
from authserver.audit import Entry, Event
from authserver.audit.chain import rows as audit_rows
from authserver.audit.search import first_since
from authserver.cli import main
from authserver.oauth.recall import Recall

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on this test's database, in this process; ``given`` is its standard input."""
    for name, value in {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(tmp_path),
        "MASTER_KEYS": MASTER,
        "ARGON2_MEMORY_KIB": "8",
        "ARGON2_TIME_COST": "1",
    }.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, given="": CliRunner().invoke(main, list(arguments), input=given)


@pytest.fixture
def journey(world: World) -> Journey:
    return Journey(world).prepare()


def told(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_a_token_is_looked_at_from_standard_input_or_a_file_and_never_said_again(
    run: Run, journey: Journey, tmp_path: Path
) -> None:
    given = journey.tokens("shop", scope="offline_access accounts:read")
    access, refresh = given["access_token"], given["refresh_token"]
    (tmp_path / "token").write_text(f"{access}\n")
    results = [
        run("tokens", "inspect", given=access),
        run("tokens", "inspect", "token"),
        run("tokens", "inspect", "--json", given=access),
        run("tokens", "inspect", "--json", given=refresh),
        run("tokens", "inspect", "no such file", given=access),
        run("tokens", "inspect", access),
        run("tokens", "revoke", access),
    ]
    assert [result.exit_code for result in results] == [0, 0, 0, 0, 2, 2, 2]
    for result in results:
        for secret in (access, refresh, access.split(".")[1]):
            assert secret not in result.output
    claims = claims_of(access)
    shown = json.loads(results[2].stdout)
    assert shown["active"] is True
    assert shown["reason"] == ""
    assert {name: shown[name] for name in ("jti", "gid", "client_id", "scope")} == {
        name: claims[name] for name in ("jti", "gid", "client_id", "scope")
    }
    again = json.loads(results[3].stdout)
    assert (again["kind"], again["client_id"], again["user_id"]) == ("refresh_token", "shop", journey.user_id)
    # looking at it is no use of it: it still works
    assert journey.refresh(refresh, "shop").status_code == 200


def test_why_a_token_does_not_count(moving_clock: Moving, run: Run, journey: Journey) -> None:
    world = journey.world
    given = journey.tokens("shop", scope="offline_access accounts:read")
    journey.refresh(given["refresh_token"])
    own = world.access_token()
    world.services.clients.set_answers("web1", "opaque", None)
    opaque = world.access_token("web1", "reports")

    def why(token: str) -> str:
        result = run("tokens", "inspect", "--json", given=token)
        shown = json.loads(result.stdout)
        assert (result.exit_code, shown["active"]) == (1, False)
        return str(shown["reason"])

    assert why(given["refresh_token"]) == "spent"
    assert why("junk") == why("a" * 43) == "format"
    assert why(own[:-4] + "AAAA") == "signature"
    world.services.clients.set_state("svc1", "suspended")
    assert why(own) == "client_disabled"
    world.services.clients.set_state("svc1", "active")
    assert run("tokens", "revoke", "-", given=own).exit_code == 0
    assert why(own) == "revoked"
    journey.set_user("disabled")
    assert why(given["access_token"]) == "user_disabled"
    moving_clock.walk(4000)
    # too old, but whose it was is told
    for token, client_id in ((own, "svc1"), (opaque, "web1")):
        assert why(token) == "exp"
        shown = json.loads(run("tokens", "inspect", "--json", given=token).stdout)
        assert (shown["kind"], shown["client_id"]) == ("access_token", client_id)
        assert token not in json.dumps(shown)


def test_one_token_is_revoked_by_itself_or_by_its_id(run: Run, world: World) -> None:
    first, second, third = (world.access_token() for _ in range(3))

    def inactive(token: str) -> bool:
        return not world.post("/introspect", as_="rs_payments", form={"token": token}).json["active"]

    assert told(run("tokens", "revoke", "-", "--json", given=first)) == {
        "jti": claims_of(first)["jti"],
        "ended": 1,
    }
    by_id = told(run("tokens", "revoke", "--jti", claims_of(second)["jti"], "--json"))
    assert (by_id["client_id"], by_id["ended"]) == ("svc1", 1)
    assert [inactive(token) for token in (first, second, third)] == [True, True, False]
    assert "already" in run("tokens", "revoke", "-", given=first).output
    assert "No token" in run("tokens", "revoke", "--jti", "never-given-out").output
    for wrong in ((), ("--jti", "a b"), ("-", "--user", "alice"), ("--jti", "x" * 10, "--gid", "y")):
        assert run("tokens", "revoke", *wrong, given="junk").exit_code == 2, wrong
    assert run("tokens", "revoke", "-", given="junk").exit_code == 1


def test_all_that_a_client_holds_ends_and_nobody_elses(run: Run, journey: Journey) -> None:
    world = journey.world
    shop, rival = (journey.tokens(name, scope="offline_access accounts:read") for name in ("shop", "rival"))
    own = [world.access_token() for _ in range(3)]
    others = world.access_token("web1", "reports")
    ended = told(run("tokens", "revoke", "--client", "svc1", "--json"))
    assert ended == {"client_id": "svc1", "ended": 3, "authorizations": 0}
    assert [journey.active(token) for token in [*own, others, shop["access_token"]]] == [False] * 3 + [
        True
    ] * 2
    assert told(run("tokens", "revoke", "--client", "shop", "--json"))["authorizations"] == 1
    assert not journey.active(shop["access_token"])
    assert journey.refresh(shop["refresh_token"]).json["error"] == "invalid_grant"
    assert journey.active(rival["access_token"])
    # it may go on: to shut it out is another command
    assert journey.active(world.access_token())


def test_all_that_is_held_for_a_person_ends_and_their_session_goes_on(run: Run, journey: Journey) -> None:
    held = [journey.tokens(name, scope="offline_access accounts:read") for name in ("shop", "rival")]
    assert told(run("tokens", "revoke", "--user", "alice", "--json")) == {"username": "alice", "ended": 2}
    assert [journey.active(given["access_token"]) for given in held] == [False, False]
    (session,) = told(run("sessions", "list", "alice", "--json"))
    assert session["sid"] == journey.session.sid
    one = journey.tokens("shop")
    assert (
        told(run("tokens", "revoke", "--gid", claims_of(one["access_token"])["gid"], "--json"))["ended"] == 1
    )
    assert not journey.active(one["access_token"])
    assert "had ended already" in run("tokens", "revoke", "-", given=one["refresh_token"]).output


def test_one_session_ends_or_all_of_a_person(run: Run, journey: Journey) -> None:
    first = journey.session.sid
    journey.log_in()
    journey.log_in()
    within = journey.tokens("shop", scope="accounts:read")
    assert told(run("sessions", "end", first, "--json")) == {"sid": first, "ended": 1}
    assert run("sessions", "end", first).exit_code == 1
    assert {row["sid"] for row in told(run("sessions", "list", "alice", "--json"))}.isdisjoint({first})
    assert journey.active(within["access_token"])
    assert told(run("sessions", "end", "--user", "alice@example.com", "--json"))["ended"] == 2
    assert not journey.active(within["access_token"])
    assert told(run("sessions", "list", "alice", "--json")) == []
    for wrong in ((), (first, "--user", "alice")):
        assert run("sessions", "end", *wrong).exit_code == 2


def test_grants_are_listed_and_withdrawn_by_id_person_or_client(run: Run, journey: Journey) -> None:
    given = {
        name: journey.tokens(name, scope="offline_access accounts:read") for name in ("shop", "rival", "once")
    }
    listed = told(run("grants", "list", "--user", "alice", "--json"))
    assert {(row["client_id"], row["username"], row["authorizations"]) for row in listed} == {
        (name, "alice", 1) for name in given
    }
    ids = {row["client_id"]: row["grant_id"] for row in listed}
    (by_client,) = told(run("grants", "list", "--client", "shop", "--json"))
    assert by_client["grant_id"] == ids["shop"]
    assert "shop" in run("grants", "list").output
    (withdrawn,) = told(run("grants", "withdraw", ids["shop"], "--json"))
    assert withdrawn["client_id"] == "shop"
    active = lambda: [journey.active(tokens["access_token"]) for tokens in given.values()]  # noqa: E731
    assert active() == [False, True, True]
    assert run("grants", "withdraw", ids["shop"]).exit_code == 1
    assert len(told(run("grants", "withdraw", "--user", "alice", "--client", "rival", "--json"))) == 1
    assert active() == [False, False, True]
    assert len(told(run("grants", "withdraw", "--client", "once", "--json"))) == 1
    assert active() == [False, False, False]
    assert told(run("grants", "list", "--json")) == []
    for wrong in ((), (ids["shop"], "--user", "alice")):
        assert run("grants", "withdraw", *wrong).exit_code == 2


def test_every_change_is_an_event_of_who_is_at_the_terminal(run: Run, journey: Journey) -> None:
    given = journey.tokens("shop", scope="offline_access accounts:read")
    grant = journey.grants["shop"]
    before = len(journey.world.events())
    for line in (
        ("tokens", "revoke", "-"),
        ("tokens", "revoke", "--client", "svc1"),
        ("grants", "withdraw", grant),
        ("sessions", "end", journey.session.sid),
    ):
        assert run(*line, given=given["access_token"]).exit_code == 0
    made = journey.world.events()[before:]
    assert {row["event"] for row in made} >= {
        "token.revoked", "token.family.revoked", "consent.withdrawn", "session.revoked",
    }  # fmt: skip
    assert {row["actor"] for row in made} == {f"operator:{getpass.getuser()}"}
    assert {row["resource"].partition(" ")[2].split(" ")[-2] for row in made} == {
        "tokens",
        "grants",
        "sessions",
    }
    revoked = [row for row in made if row["event"] == "token.revoked"]
    assert {row["reason"] for row in revoked} == {"by_operator"}
    assert given["access_token"] not in json.dumps([row["detail"] for row in made])


def test_events_are_found_by_request_person_client_and_name(run: Run, world: World) -> None:
    answer = world.token()
    world.token("web1", "reports")
    world.token("svc1", "unknown")
    request_id = answer.headers["X-Request-Id"]

    def found(*arguments: str) -> list[dict[str, Any]]:
        result = run("audit", "tail", "--json", *arguments)
        assert result.exit_code == 0
        return [json.loads(line) for line in result.stdout.splitlines()]

    (one,) = found("--request", request_id)
    assert (one["event"], one["client_id"]) == ("token.issued", "svc1")
    assert [row["client_id"] for row in found("--event", "token.issued")] == ["svc1", "web1"]
    assert [row["event"] for row in found("--client", "svc1", "--event", "token")] == [
        "token.issued", "token.rejected",
    ]  # fmt: skip
    assert [row["outcome"] for row in found("--client", "svc1", "--outcome", "denied")] == ["denied"]
    assert len(found("--address", "192.0.2.10", "-n", "2")) == 2
    assert found("--event", "token%") == found("--event", "_") == []
    assert request_id in run("audit", "tail", "--client", "svc1").output


def test_events_since_a_time_are_found_by_halving(moving_clock: Moving, world: World) -> None:
    first = []
    moving_clock.walk(1)
    for _ in range(40):
        world.services.audit.record(Entry(Event.AUDIT_READ))
        first.append(clock.now_ms())
        moving_clock.walk(1)
    ids = [row["id"] for row in world.events("audit.read")]
    with world.services.database.writing() as connection:
        # a row that is gone leaves a gap
        connection.execute(audit_rows.delete().where(audit_rows.c.id == ids[17]))
    with world.services.database.reading() as connection:
        for number in (0, 1, 16, 18, 30, 39):
            # one more at most, and none too few
            assert ids[number] - 2 <= first_since(connection, first[number]) <= ids[number]
        assert ids[15] <= first_since(connection, first[17]) <= ids[18]
        assert ids[38] <= first_since(connection, first[39] + 5000) <= ids[39]


def test_a_clients_own_tokens_are_those_that_may_still_live(moving_clock: Moving, world: World) -> None:
    services = world.services
    recall = Recall(
        services.settings, services.database, services.authorizations, services.revocations, services.audit
    )
    old = claims_of(world.access_token())["jti"]
    moving_clock.walk(302)
    new = claims_of(world.access_token())["jti"]
    assert recall.issued("svc1") == [new]
    assert recall.client_of(old) == "svc1"
    assert recall.client_of("%") is None


def test_status_says_what_is_wrong_and_what_to_do(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.token()
    world.services.sealer.seal()
    shown = told(run("status", "--json"))
    assert shown["wrong"] == []
    assert (shown["redis"], shown["unsealed"], shown["pending_clients"]) == ("not set", 0, 0)
    assert "ES256 active" in shown["keys"]
    assert "All is well." in run("status").output
    with world.services.database.writing() as connection:
        connection.execute(update(audit_rows).values(seq=None, hash=None, at_ms=0))
        job = {"job": "purge", "holder": "x", "until_ms": 0, "last_run": 1, "last_error": "OSError"}
        connection.execute(insert(leases.table).values(job))
    monkeypatch.setenv("AUTHSERVER_REDIS_URL", "redis://127.0.0.1:1/0")
    result = run("status")
    assert result.exit_code == 1
    faults = [line for line in result.stdout.splitlines() if line.startswith("! ")]
    assert len(faults) == 4
    for word in ("Redis is lost", "purge failed", "five minutes", "sealed"):
        assert any(word in fault for fault in faults), (word, faults)


def test_clients_are_listed_by_state_and_partner(run: Run, world: World) -> None:
    invited = told(
        run(
            "partners",
            "invite",
            "--name",
            "Bank",
            "--grant",
            "client_credentials",
            "--scope",
            "reports",
            "--json",
        )
    )
    body = {"grant_types": ["client_credentials"], "client_name": "Payouts", "scope": "reports"}
    made = world.http.post(
        "/register",
        json=body,
        base_url=world.services.settings.issuer,
        headers={"Authorization": f"Bearer {invited['initial_access_token']}"},
        environ_overrides={"REMOTE_ADDR": "192.0.2.1"},
    )
    assert made.status_code == 201, made.data
    ids = lambda *given: [row["client_id"] for row in told(run("clients", "list", "--json", *given))]  # noqa: E731
    assert ids("--partner", "Bank") == ids("--state", "pending") == [made.json["client_id"]]
    assert ids("--partner", "Nobody") == []
    assert "svc1" in ids("--state", "active")
