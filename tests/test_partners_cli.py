"""`authserver partners`: who is invited to register what, and what an operator sees of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from plugins.app import World
from test_cli import Run, run  # noqa: F401 - a fixture

SHOP = (
    "partners", "invite", "--json", "--name", "Corner shop", "--grant", "authorization_code",
    "--scope", "openid", "--redirect-host", "rp.example",
)  # fmt: skip
CODE = {"redirect_uris": ["https://rp.example/cb"]}


def invited(run: Run, *more: str) -> dict[str, str]:  # noqa: F811
    result = run(*SHOP, *more)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.output))


def listed(run: Run) -> list[dict[str, Any]]:  # noqa: F811
    return list(json.loads(run("partners", "list", "--json").output))


def register(world: World, token: str, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = world.post(
        "/register",
        headers={"Authorization": f"Bearer {token}"},
        body=json.dumps(document).encode(),
        content_type="application/json",
    )
    world.services.versions.forget()
    return answer.status_code, dict(answer.json)


def test_an_invitation_is_for_one_client_that_waits_unless_more_is_said(run: Run, world: World) -> None:  # noqa: F811
    told = invited(run)
    (row,) = listed(run)
    assert (row["state"], row["clients_left"], row["client_state"]) == ("open", 1, "pending")
    assert (row["scopes"], row["grant_types"]) == (["openid"], ["authorization_code"])
    assert len(row["auth_methods"]) == 4
    assert told["initial_access_token"] not in run("partners", "list", "--json").output
    status, client = register(world, told["initial_access_token"], CODE | {"contacts": ["ops@rp.example"]})
    assert status == 201
    (row,) = listed(run)
    assert (row["state"], row["clients_left"]) == ("used up", 0)
    # what an operator sees before approving
    shown = json.loads(run("clients", "show", client["client_id"], "--json").output)
    assert (shown["state"], shown["partner"], shown["contacts"]) == (
        "pending", "Corner shop", ["ops@rp.example"],
    )  # fmt: skip
    assert run("clients", "approve", client["client_id"]).exit_code == 0
    world.services.versions.forget()
    assert world.services.clients.get(client["client_id"]).active


def test_a_sandbox_gives_active_clients_that_may_be_on_this_machine(run: Run, world: World) -> None:  # noqa: F811
    told = invited(run, "--sandbox", "--clients", "2", "--network", "203.0.113.0/24", "--tier", "gold")
    assert told["client_state"] == "active"
    status, client = register(
        world, told["initial_access_token"], {"redirect_uris": ["http://localhost:3000/cb"]}
    )
    assert status == 201
    found = world.services.clients.get(client["client_id"])
    assert (found.active, found.networks, found.tier) == (True, ("203.0.113.0/24",), "gold")


def test_a_revoked_invitation_registers_nothing_and_cannot_be_revoked_twice(run: Run, world: World) -> None:  # noqa: F811
    told = invited(run, "--clients", "5")
    assert run("partners", "revoke", told["token_id"]).exit_code == 0
    assert register(world, told["initial_access_token"], CODE)[0] == 401
    assert listed(run)[0]["state"] == "revoked"
    assert run("partners", "revoke", told["token_id"]).exit_code == 1
    assert run("partners", "revoke", "nosuch").exit_code == 1
    (row,) = world.events("partner.revoked")
    assert row["detail"] == {"token_id": told["token_id"]}


@pytest.mark.parametrize(
    "more",
    [
        ("--scope", "nosuch"),
        ("--tier", "nosuch"),
        ("--clients", "0"),
        ("--days", "0"),
        ("--days", "4000"),
        ("--network", "0.0.0.0/0"),
        ("--redirect-host", "*.rp.example"),
        ("--redirect-host", "https://rp.example"),
        ("--redirect-host", "rp.example:443"),
        ("--redirect-host", "RP.example"),
        ("--redirect-host", "10.0.0.1"),
        ("--redirect-host", "rp.example."),
        ("--redirect-host", "-rp.example"),
        ("--redirect-host", "myapp:"),
        ("--redirect-host", ""),
        ("--name", " "),
        ("--name", "a\nb"),
        ("--grant", "password"),
        ("--auth-method", "client_secret_jwt"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(run: Run, world: World, more: tuple[str, str]) -> None:  # noqa: F811
    result: Result = run(*SHOP, *more)
    assert result.exit_code == (1 if "nosuch" in more else 2), result.output
    assert listed(run) == []


def test_with_a_code_to_send_there_is_a_host_to_send_it_to(run: Run, world: World) -> None:  # noqa: F811
    arguments = ("partners", "invite", "--name", "x", "--scope", "openid")
    assert run(*arguments, "--grant", "authorization_code").exit_code == 2
    assert run(*arguments).exit_code == 2
    assert run(*arguments, "--grant", "client_credentials").exit_code == 0
    assert "registers at" in run(*arguments, "--grant", "client_credentials").output


def test_an_app_is_invited_by_its_scheme(run: Run, world: World) -> None:  # noqa: F811
    told = invited(run, "--redirect-host", "com.example.app:")
    app = {"application_type": "native", "token_endpoint_auth_method": "none"}
    uris = {"redirect_uris": ["com.example.app:/cb"]}
    assert (
        register(world, told["initial_access_token"], app | {"redirect_uris": ["com.example:/cb"]})[0] == 400
    )
    assert register(world, told["initial_access_token"], app | uris)[0] == 201


def test_purging_ends_clients_that_nobody_approved(run: Run, world: World) -> None:  # noqa: F811
    assert json.loads(run("db", "purge", "--json").output)["client_registration"] == 0
