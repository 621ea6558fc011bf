"""authserver users: inviting, resetting, ending, as an operator does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from plugins.app import ISSUER, MASTER, Moving, World
from plugins.factors import give_totp, prove
from plugins.factors import told as mailed
from plugins.people import Browser, add_user

from authserver.app import services_of
from authserver.cli import main
from authserver.personal_data import WAIT_SECONDS

Run = Callable[..., Result]
PASSWORD = "seven brown foxes sleep"


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on this test's database, in this process."""
    for name, value in {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(tmp_path),
        "MASTER_KEYS": MASTER,
    }.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    return lambda *arguments: CliRunner().invoke(main, ["users", *arguments])


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def follow(app: Flask, link: str) -> int:
    """What setting a password by ``link`` is answered with."""
    assert link.startswith(f"{ISSUER}/enrol?token=")
    browser = Browser(app)
    page = browser.get(link.removeprefix(ISSUER))
    if page.status_code != 200:
        return page.status_code
    return browser.submit(page, "/enrol", password=PASSWORD, password_again=PASSWORD).status_code


def test_a_person_lives_through_its_commands(run: Run, app: Flask) -> None:
    made = told(
        run("create", "--username", "Alice", "--email", "Alice@Example.com", "--name", "Alice A.", "--json")
    )
    assert (made["username"], made["purpose"], made["expires_in"]) == ("alice", "enrol", 604_800)
    assert told(run("show", "alice", "--json"))["state"] == "invited"
    assert follow(app, made["link"]) == 303
    browser = Browser(app)
    assert browser.log_in("alice", PASSWORD).status_code == 303
    (session,) = told(run("sessions", "alice@example.com", "--json"))
    assert (session["client_ip"], session["acr"]) == (browser.address, "urn:authserver:acr:password")
    assert told(run("end-sessions", "alice", "--json"))["ended"] == 1
    assert browser.get("/account").location == "/login"
    assert told(run("disable", "alice", "--json"))["state"] == "disabled"
    assert browser.log_in("alice", PASSWORD).status_code == 401
    assert run("reset", "alice").exit_code == 1
    assert told(run("enable", "alice", "--json"))["state"] == "active"
    assert browser.log_in("alice", PASSWORD).status_code == 303
    reset = told(run("reset", "alice", "--json"))
    assert (reset["purpose"], reset["expires_in"]) == ("reset", 1800)
    assert follow(app, reset["link"]) == 303
    assert follow(app, reset["link"]) == 410
    assert browser.get("/account").location == "/login"
    (row,) = told(run("list", "--json"))
    assert row["email"] == "alice@example.com"
    assert "password" not in json.dumps(row)


def test_an_invited_person_gets_a_new_invitation(run: Run, app: Flask) -> None:
    first = told(run("create", "--username", "bob", "--json"))["link"]
    again = told(run("reset", "bob", "--json"))
    assert again["purpose"] == "enrol"
    assert (follow(app, first), follow(app, again["link"])) == (410, 303)


def test_people_read_lines_and_the_link_is_shown_once(run: Run) -> None:
    output = run("create", "--username", "bob", "--name", "Bob").output
    assert f"{ISSUER}/enrol?token=" in output
    assert "168 hours" in output
    assert "token" not in run("show", "bob").output
    assert "bob" in run("list").output
    assert run("sessions", "bob").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--username", "ALICE"),
        ("--username", "bob", "--email", "ALICE@example.com"),
        ("--username", "bob@example.com"),
        ("--username", "b ob"),
        ("--username", ""),
        ("--username", "b" * 129),
        ("--username", "bob\n"),
        ("--username", "bob", "--email", "bob"),
        ("--username", "bob", "--email", "bob@x@example.com"),
        ("--username", "bob", "--email", "b\nob@example.com"),
        ("--username", "bob", "--name", "Bob\x1b[31m"),
    ],
)
def test_what_cannot_be_a_person_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    told(run("create", "--username", "alice", "--email", "alice@example.com", "--json"))
    result = run("create", *arguments)
    # the newline around a name is cut off; anything else is refused in one sentence
    if arguments == ("--username", "bob\n"):
        assert result.exit_code == 0
        return
    taken = "alice" in " ".join(arguments).lower()
    assert result.exit_code == (1 if taken else 2), result.output
    assert result.output.startswith("authserver: ")
    assert len(told(run("list", "--json"))) == 1


@pytest.mark.parametrize("command", ["show", "disable", "enable", "reset", "sessions", "end-sessions"])
def test_nobody_of_that_name_is_told_so(run: Run, command: str) -> None:
    result = run(command, "ghost")
    told = "authserver: There is no such user. See `authserver users list`.\n"
    assert (result.exit_code, result.output) == (1, told)


def test_what_an_operator_does_is_in_the_audit_log(run: Run, app: Flask) -> None:
    run("create", "--username", "bob")
    run("disable", "bob")
    run("enable", "bob")
    world = World(app, services_of(app))
    rows = [row for row in world.events() if row["event"].startswith("user.")]
    assert [(row["event"], row["reason"]) for row in rows] == [
        ("user.created", ""),
        ("user.link.made", "enrol"),
        ("user.state.changed", "disabled"),
        ("user.state.changed", "invited"),
    ]
    assert all(row["actor"].startswith("operator:") and row["user_id"] for row in rows)


def link_of(run: Run, name: str) -> str:
    return str(told(run("create", "--username", name, "--json"))["link"]).partition("/enrol")[0]


def test_links_lead_to_the_demo_that_was_started_on_another_port(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Flask
) -> None:
    assert link_of(run, "ann") == ISSUER
    demo = tmp_path / "demo.json"
    demo.write_text('{"issuer": "http://localhost:8700"}')
    assert link_of(run, "ben") == "http://localhost:8700"
    monkeypatch.setenv("AUTHSERVER_ISSUER", "http://localhost:8800")
    assert link_of(run, "cid") == "http://localhost:8800"
    monkeypatch.delenv("AUTHSERVER_ISSUER")
    # no more than a hint: a file that is none, or names what dev may not serve, changes nothing
    for number, text in enumerate(('{"issuer": "https://evil.example"}', '{"issuer": 5}', "[]", "{", "{}")):
        demo.write_text(text)
        assert link_of(run, f"dan{number}") == ISSUER


def test_what_is_told_beside_a_demo_is_told_as_it_serves(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Flask
) -> None:
    def payments() -> str:
        return str(json.loads(CliRunner().invoke(main, ["status", "--json"]).output)["payments"])

    assert "passkeys alone" in payments()
    (tmp_path / "demo.json").write_text('{"payment_sca": "totp", "operator_name": "Harbour Bank"}')
    assert "TOTP" in payments()
    monkeypatch.setenv("AUTHSERVER_PAYMENT_SCA", "webauthn")
    assert "passkeys alone" in payments()


def test_in_production_no_file_of_a_demo_names_the_issuer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Flask
) -> None:
    (tmp_path / "demo.json").write_text('{"issuer": "https://evil.example"}')
    monkeypatch.setenv("AUTHSERVER_PROFILE", "production")
    result = run("create", "--username", "ann")
    # without an issuer of its own it does not start: dev's default is plain http
    assert result.exit_code == 2
    assert "AUTHSERVER_ISSUER must be https" in result.output


def test_groups_are_set_as_a_whole(run: Run, world: World) -> None:
    run("create", "--username", "dora")
    assert told(run("groups", "dora", "--group", "staff", "--group", "operators", "--json"))["groups"] == [
        "operators",
        "staff",
    ]
    assert told(run("show", "dora", "--json"))["groups"] == ["operators", "staff"]
    assert told(run("groups", "dora", "--json"))["groups"] == ["operators", "staff"]
    assert told(run("groups", "dora", "--none", "--json"))["groups"] == []
    assert run("groups", "dora", "--group", "No Group").exit_code == 2
    assert [row["detail"] for row in world.events("user.groups.changed")] == [
        {"groups": ["operators", "staff"]},
        {"groups": []},
    ]


def test_who_lost_all_factors_is_helped_by_an_operator(run: Run, app: Flask, moving_clock: Moving) -> None:
    services = services_of(app)
    erik = add_user(services, "erik")
    enrolled = give_totp(app, erik)
    browser = Browser(app)
    browser.log_in("erik")
    assert prove(browser, enrolled.app.code()).status_code == 303
    device = browser.cookie("device")
    assert services.device_trust.state(erik, device, "") == "known"
    moving_clock.walk(60)
    browser = Browser(app)
    browser.log_in("erik")
    assert told(run("reset-factors", "erik", "--json")) == {"username": "erik", "reset": True}
    assert services.device_trust.state(erik, device, "") == "mismatch"
    assert browser.get("/mfa").location == "/login"
    browser.log_in("erik")
    assert "Erik" in browser.get("/account").text
    assert services.mfa.judge(erik, "recovery_code", enrolled.codes[0]) is None
    assert told(run("reset-factors", "erik", "--json"))["reset"] is False
    assert [row["reason"] for row in World(app, services).events("mfa.removed")] == ["by_operator"]


def test_a_person_is_erased_for_good_and_only_when_that_is_said_twice(run: Run, app: Flask) -> None:
    services = services_of(app)
    add_user(services, "erik")
    asked = run("erase", "erik")
    assert (asked.exit_code, "Say --yes" in asked.output) == (2, True)
    assert services.users.find("erik") is not None
    assert run("erase", "ghost", "--yes").exit_code == 1
    erased = told(run("erase", "erik", "--yes", "--json"))
    assert erased["state"] == "erased"
    assert services.users.find("erik") is None
    (row,) = World(app, services).events("user.erased")
    assert (row["reason"], row["actor"].partition(":")[0]) == ("by_operator", "operator")
    name = f"erased-{erased['user_id']}".lower()
    for command in (("enable",), ("disable",), ("reset",), ("erase", "--yes")):
        assert run(command[0], name, *command[1:]).exit_code == 1, command


def test_who_is_enabled_has_the_whole_wait_once_more_before_they_are_erased(
    run: Run, app: Flask, moving_clock: Moving
) -> None:
    """A stranger in the account wished for it, and whose it is could not take that back."""
    services = services_of(app)
    alice = add_user(services, "alice")
    browser = Browser(app)
    browser.log_in()
    services.erasure.request(services.sessions.list(alice)[0])
    run("disable", "alice")
    moving_clock.walk(WAIT_SECONDS + 1)
    assert told(run("enable", "alice", "--json"))["state"] == "active"
    assert (services.erasure.carry_out(), services.users.must(alice).state) == (0, "active")
    assert mailed(app, alice).count("erasure_requested") == 2
    moving_clock.walk(WAIT_SECONDS)
    assert services.erasure.carry_out() == 1
