"""Clients as operators change them, and answers compared with one another."""

from __future__ import annotations

import base64
import json
from typing import Any

from sqlalchemy import select

from authserver.db import table_of
from authserver.models.network import ClientNetwork

from .. import cast
from ..expectations import given_out
from ..forge import claims_of
from ..runner import Run
from ._terminal import command

networks = table_of(ClientNetwork)


def set_state(run: Run, client: str, state: str) -> None:
    """An operator suspends or approves a client."""
    run.world.services.clients.set_state(client, state)


def rotate_secret(run: Run, client: str, overlap: int) -> None:
    """The client has a new secret; ``{old_secret}`` is the one before."""
    run.saved["old_secret"] = run.world.secrets[client]
    run.secrets.add(run.world.secrets[client])
    run.world.secrets[client] = run.world.services.clients.rotate_secret(client, overlap)


def allow(run: Run, client: str, networks: list[str]) -> None:
    """The client may call from these networks alone."""
    run.world.services.clients.set_networks(run.fill(client), networks)


def set_redirect_uris(run: Run, client: str, uris: list[str]) -> None:
    """The client's codes go to ``uris`` alone."""
    run.world.services.clients.set_redirect_uris(client, uris)


def set_answers(run: Run, client: str, token_format: str, userinfo_alg: str | None = None) -> None:
    """The client gets access tokens of this form, and UserInfo signed or plain."""
    cast.client(run.world, client)
    run.world.services.clients.set_answers(client, token_format, userinfo_alg)
    run.world.services.versions.forget()


def signed_answer_is_no_token(run: Run, token: str) -> None:
    """What UserInfo signs for a client opens nothing, here or at an API."""
    bearer = {"Authorization": f"Bearer {run.saved[token]['access_token']}"}
    answer = run.send({"status": 200}, send="GET /userinfo", headers=bearer)
    text = answer.body.decode()
    assert claims_of(text)["aud"] == "web1"
    refused = {"status": 401, "error": "invalid_token", "audit": ["resource.rejected"]}
    run.send(refused, send="GET /userinfo", headers={"Authorization": f"Bearer {text}"})
    inactive = {"status": 200, "body": {"active": False}, "audit": ["introspection.denied"]}
    run.send(inactive, send="POST /introspect", **{"as": "rs_accounts", "form": {"token": text}})


def save(run: Run, name: str, value: str) -> None:
    """``{name}`` stands for ``value`` from now on."""
    run.saved[name] = run.fill(value)


def differ(run: Run, first: str, second: str) -> None:
    """Two texts are not the same."""
    assert run.fill(first) != run.fill(second)


def at_once(run: Run, steps: list[dict[str, Any]]) -> None:
    """Different requests at the same time; each gets an honest answer."""
    for reply in run.at_once([run.request(step, []) for step in steps]):
        assert reply.status < 500, reply
        run.secrets |= given_out(reply)


def same_answers(run: Run, steps: list[dict[str, Any]], expect: dict[str, Any]) -> None:
    """Every one of ``steps`` gets the same status, headers and body, but for the request's own id."""
    seen = set()
    for step in steps:
        reply = run.send(expect, **step)
        headers = {k: v for k, v in reply.headers.items() if k != "x-request-id"}
        body = reply.body.replace(reply.headers["x-request-id"].encode(), b"")
        seen.add((reply.status, json.dumps(headers, sort_keys=True), body))
    assert len(seen) == 1, seen


def basic_in_capitals(run: Run, client: str) -> None:
    """The name of the scheme ignores case (RFC 9110 §11.1)."""
    pair = base64.b64encode(f"{client}:{run.world.secrets[client]}".encode()).decode()
    for scheme in ("basic", "BASIC", "bAsIc"):
        run.send(
            {"status": 200, "issued": 1},
            send="POST /token",
            headers={"Authorization": f"{scheme} {pair}"},
            form={"grant_type": "client_credentials", "scope": "reports"},
        )


def revocation_list(run: Run, ended: str, not_ended: str) -> None:
    """The signed list names the one and not the other."""
    reply = run.send({"status": 200}, send="GET /revocations")
    listed = claims_of(reply.body.decode())["jtis"]
    assert claims_of(run.saved[ended])["jti"] in listed
    assert claims_of(run.saved[not_ended])["jti"] not in listed


def network_notations(run: Run, client: str, refused: list[list[str]], normalised: dict[str, str]) -> None:
    """Each list of ``refused`` changes nothing, exits 2 and is audited; others come out in one spelling."""
    many = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(10_000)]
    for texts in [*refused, many]:
        known = len(run.world.events("client.update.rejected"))
        options = [part for text in texts for part in ("--allow", text)]
        result = command(run, "clients", "networks", client, *options)
        assert result.exit_code == 2, (texts[:3], result.output)
        rows = run.world.events("client.update.rejected")
        assert len(rows) == known + 1, (texts[:3], result.output)
        assert (rows[-1]["reason"], rows[-1]["outcome"], rows[-1]["client_id"]) == (
            "ip_allowlist", "denied", client,
        )  # fmt: skip
        assert rows[-1]["actor"].startswith("operator:")
        assert _networks(run, client) == [], texts
    for text, spelling in normalised.items():
        result = command(run, "clients", "networks", client, "--allow", text)
        assert result.exit_code == 0, result.output
        assert _networks(run, client) == [spelling]
    # the whole Internet has a switch of its own
    result = command(run, "clients", "networks", client, "--allow", "0.0.0.0/0", "--allow-everywhere")
    assert result.exit_code == 0, result.output
    assert _networks(run, client) == ["0.0.0.0/0"]


def _networks(run: Run, client: str) -> list[str]:
    with run.world.services.database.reading() as connection:
        found = connection.execute(select(networks.c.cidr).where(networks.c.client_id == client))
        return list(found.scalars())
