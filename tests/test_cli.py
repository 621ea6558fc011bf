"""The command line: what it prints, what it refuses, and that nothing is half done."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plugins.app import MASTER, World

from authserver.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on this test's database, in this process."""
    for name, value in {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(tmp_path),
        "MASTER_KEYS": MASTER,
        "ARGON2_MEMORY_KIB": "8",
        "ARGON2_TIME_COST": "1",
    }.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return invoke


def made(run: Run, *arguments: str) -> dict[str, str]:
    result = run("clients", "create", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_client_lives_through_its_commands(run: Run, world: World) -> None:
    client = made(
        run, "--name", "Shop", "--grant", "client_credentials", "--scope", "payments:read", "--pending"
    )
    world.methods[client["client_id"]] = "client_secret_basic"
    world.secrets[client["client_id"]] = client["client_secret"]

    def status() -> int:
        world.services.versions.forget()
        return world.token(client["client_id"], "payments:read").status_code

    assert (client["state"], status()) == ("pending", 401)
    assert run("clients", "approve", client["client_id"]).exit_code == 0
    assert status() == 200
    assert run("clients", "networks", client["client_id"], "--allow", "203.0.113.0/24").exit_code == 0
    assert status() == 403
    shown = json.loads(run("clients", "show", client["client_id"], "--json").output)
    assert shown["networks"] == ["203.0.113.0/24"]
    assert client["client_secret"] not in json.dumps(shown)
    assert run("clients", "networks", client["client_id"], "--anywhere").exit_code == 0
    assert status() == 200
    rotated = json.loads(run("clients", "rotate-secret", client["client_id"], "--json").output)
    assert status() == 401
    world.secrets[client["client_id"]] = rotated["client_secret"]
    assert status() == 200
    assert run("clients", "suspend", client["client_id"]).exit_code == 0
    assert status() == 401
    actors = {row["actor"] for row in world.events("client.state.changed")}
    assert all(actor.startswith("operator:") for actor in actors)


def test_an_old_secret_works_through_its_overlap_and_no_longer(run: Run, world: World) -> None:
    old = world.secrets["svc1"]
    new = json.loads(run("clients", "rotate-secret", "svc1", "--overlap", "3600", "--json").output)[
        "client_secret"
    ]
    world.services.versions.forget()
    for secret in (old, new):
        world.secrets["svc1"] = secret
        assert world.token().status_code == 200
    newest = json.loads(run("clients", "rotate-secret", "svc1", "--json").output)["client_secret"]
    world.services.versions.forget()
    for secret, status in ((old, 401), (new, 401), (newest, 200)):
        world.secrets["svc1"] = secret
        assert world.token().status_code == status


@pytest.mark.parametrize(
    "arguments",
    [
        ["clients", "rotate-secret", "svc1", "--overlap", "-1"],
        ["clients", "networks", "svc1"],
        ["clients", "networks", "svc1", "--anywhere", "--allow", "10.0.0.0/8"],
        ["clients", "networks", "svc1", "--allow", "203.0.113.5/24"],
        ["clients", "networks", "svc1", "--allow", "0.0.0.0/0"],
        ["clients", "create"],
        ["clients", "create", "--name", "x"],
        ["clients", "create", "--name", " ", "--audience", "https://new.example"],
        ["clients", "create", "--name", "x", "--audience", "no uri"],
        ["clients", "create", "--name", "x", "--auth-method", "none", "--grant", "client_credentials"],
        ["clients", "create", "--name", "x", "--network", "everywhere"],
        ["scopes", "set", "a b", "--description", "x"],
        ["scopes", "set", "x", "--description", " "],
        ["tiers", "set", "gold", "--amount", "0"],
        ["tiers", "set", "gold", "--amount", "5", "--endpoint", "nowhere"],
        ["audit", "tail", "-n", "0"],
        ["serve", "--workers", "0"],
        ["nonsense"],
    ],
)
def test_wrong_input_is_exit_2_and_one_sentence(run: Run, world: World, arguments: list[str]) -> None:
    check_refusal(run(*arguments), 2)


# one app for all: what is refused changes nothing
REFUSED = (
    "clients show nobody",
    "clients suspend nobody",
    "clients rotate-secret nobody",
    "clients rotate-secret spa1",
    "clients create --name x --scope unknown",
    "clients create --name x --audience https://api.example/payments",
    "clients create --name rs_accounts --audience https://new.example",
    "clients create --name x --id svc1 --grant client_credentials",
    "clients create --name x --tier platinum",
    "clients tier svc1 platinum",
    "scopes set payments:read --description x --audience https://api.example/accounts",
    "scopes set x --description y --audience https://nobody.example",
    "scopes remove nothing",
    "keys rotate --alg HS256",
    "users show nobody",
    "sessions list nobody",
    "sessions end nothing",
    "grants list --user nobody",
    "grants withdraw nothing",
    "grants withdraw --client svc1",
    "tokens revoke --gid nothing",
    "tokens revoke --client nobody",
    "tokens revoke --user nobody",
    "audit tail --user nobody",
)


def test_what_is_not_there_or_refused_is_exit_1_and_one_sentence(run: Run, world: World) -> None:
    for line in REFUSED:
        result = run(*line.split())
        check_refusal(result, 1)


def check_refusal(result: Result, code: int) -> None:
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert result.stderr.strip()
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_next_key_that_nobody_can_know_yet_is_not_used(run: Run, world: World) -> None:
    # the key behind the one that signs now is seconds old, however long this suite has run
    assert run("keys", "rotate", "--compromise").exit_code == 0
    result = run("keys", "rotate")
    assert result.exit_code == 1
    assert "too recently" in result.stderr


def test_a_refused_allowlist_is_in_the_audit_log(run: Run, world: World) -> None:
    run("clients", "networks", "svc1", "--allow", "203.0.113.007")
    row = world.events("client.update.rejected")[-1]
    assert (row["reason"], row["client_id"], row["outcome"]) == ("ip_allowlist", "svc1", "denied")


def test_lists_print_for_people_and_for_programs(run: Run, world: World) -> None:
    for noun in ("clients", "scopes", "tiers", "keys"):
        assert run(noun, "list").exit_code == 0
        assert isinstance(json.loads(run(noun, "list", "--json").output), list)
    states = [key["state"] for key in json.loads(run("keys", "list", "--json").output)]
    assert sorted(states) == ["active", "next"]


def test_a_compromised_key_goes_at_once(run: Run, world: World) -> None:
    token = world.access_token()
    before = {key["kid"] for key in world.send("GET", "/jwks").json["keys"]}
    assert run("keys", "rotate", "--compromise").exit_code == 0
    world.services.versions.forget()
    after = {key["kid"] for key in world.send("GET", "/jwks").json["keys"]}
    assert len(before - after) == 1
    assert world.post("/introspect", as_="rs_payments", form={"token": token}).json == {"active": False}


def test_the_audit_log_verifies_and_follows(run: Run, world: World) -> None:
    world.token()
    world.services.sealer.seal()
    assert json.loads(run("audit", "verify", "--json").output)["whole"] is True
    lines = run("audit", "tail", "-n", "5").output.splitlines()
    assert any("token.issued" in line for line in lines)
    assert json.loads(run("audit", "tail", "-n", "1", "--json").output)["event"] == "audit.read"


def test_a_database_that_is_not_migrated_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHSERVER_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    result = run("clients", "list")
    assert result.exit_code == 1
    assert "authserver db upgrade" in result.stderr
    assert run("db", "upgrade").exit_code == 0
    assert run("clients", "list").exit_code == 0
    assert "already" in run("db", "upgrade").output


def test_a_lost_database_is_exit_1_and_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSERVER_DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/nothing")
    result = run("clients", "list")
    assert result.exit_code == 1
    assert "postgresql+psycopg://127.0.0.1:1/nothing" in result.stderr
    assert "Traceback" not in result.output


def test_settings_that_cannot_be_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSERVER_PROFILE", "production")
    result = run("clients", "list")
    assert result.exit_code == 2
    assert "AUTHSERVER_ISSUER" in result.stderr


def test_a_first_start_makes_a_master_key_that_others_cannot_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTHSERVER_MASTER_KEYS")
    monkeypatch.setenv("AUTHSERVER_INSTANCE_DIR", str(tmp_path / "new"))
    monkeypatch.setenv("AUTHSERVER_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    assert run("db", "upgrade").exit_code == 0
    path = tmp_path / "new" / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text()
    assert run("db", "upgrade").exit_code == 0
    assert path.read_text() == first


def test_new_master_keys_are_ready_for_the_setting(run: Run) -> None:
    from authserver.crypto import MasterKeys

    printed = [run("keys", "master").output.strip() for _ in range(2)]
    assert len({MasterKeys.parse(text).active for text in printed}) == 2


def test_an_id_that_begins_with_a_dash_is_no_option(run: Run, world: World) -> None:
    """One random id in 64 does."""
    for path, id_, more in (
        ("clients show", "-aBcDeFgHiJkLmNoPqRsT_", ()),
        ("clients networks", "--cDeFgHiJkLmNoPqRsTu-", ("--allow", "203.0.113.0/24")),
        ("clients suspend", "-hBcDeFgHiJkLmNoPqRsT_", ()),
    ):
        made(run, "--name", "Dashed", "--id", id_, "--grant", "client_credentials", "--scope", "reports")
        for arguments in ([id_, *more], [*more, id_], [*more, "--json", id_], [*more, "--", id_]):
            result = run(*path.split(), *arguments)
            assert result.exit_code == 0, (arguments, result.output)
    for path in ("sessions end", "grants withdraw", "partners revoke"):
        check_refusal(run(*path.split(), "-aBcDeFgHiJkLmNoPqRsT_"), 1)
    check_refusal(run("tokens", "revoke", "--gid", "-aBcDeFgHiJkLmNoPqRsT_"), 1)
    check_refusal(run("clients", "show", "--nonsense"), 2)
