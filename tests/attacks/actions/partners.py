"""Partners: their tokens, the clients that they registered, and what those clients leave behind."""

from __future__ import annotations

import gzip
import json
import socket
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from assertions import Signer, form
from receiver import Receiver

from authserver import crypto, outgoing
from authserver.partners import DAY

from .. import cast, flows
from ..runner import Run
from .clients import same_answers

CODE = {
    "redirect_uris": ["https://rp.example/cb"],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
}
# what a registration changes: one client with a secret, and one less for its token
ROWS = {"client": 1, "client_secret": 1, "client_registration": 1, "initial_access_token": 0}
SECTOR_REFUSED = {
    "status": 400,
    "error": "invalid_client_metadata",
    "audit": ["registration.rejected/sector_identifier_uri"],
}
GONE = {"status": 401, "error": "invalid_client", "audit": ["client.auth.failed"]}


def invite(run: Run, save: str, clients: int = 100, days: int = 7, **policy: Any) -> None:
    """A token of its own for this case."""
    changes = {name: frozenset(value) if isinstance(value, list) else value for name, value in policy.items()}
    _, run.saved[save] = run.world.services.partners.invite(replace(cast.POLICY, **changes), clients, days)
    run.secrets.add(run.saved[save])


def spent_tokens(run: Run) -> None:
    """``{used}`` was good for one client, ``{over}`` until yesterday, ``{revoked}`` until it was revoked."""
    invite(run, "used", clients=1)
    register(run, "other", token="{used}")
    invite(run, "over", days=1)
    run.clock.walk(DAY + 1)
    services = run.world.services
    token_id, run.saved["revoked"] = services.partners.invite(cast.POLICY, 1, 1)
    services.partners.revoke(token_id)


def register(run: Run, save: str, token: str = "{iat}", **members: Any) -> None:
    """A client registers itself; what it is told is saved, and it is known by its id from now on."""
    public = (CODE | members).get("token_endpoint_auth_method") in ("none", "private_key_jwt")
    reply = run.send(
        {"status": 201, "rows": ROWS | ({"client_secret": 0} if public else {})},
        send="POST /register",
        headers={"Authorization": f"Bearer {token}"},
        json=CODE | members,
    )
    told = run.saved[save] = dict(reply.json)
    run.world.methods[told["client_id"]] = told["token_endpoint_auth_method"]
    if "client_secret" in told:
        run.world.secrets[told["client_id"]] = told["client_secret"]
    run.world.services.versions.forget()


def set_partner_state(run: Run, client: str, state: str) -> None:
    """An operator suspends or approves the client that was saved so."""
    run.world.services.clients.set_state(run.saved[client]["client_id"], state)
    run.world.services.versions.forget()


def allow_partner(run: Run, client: str, networks: list[str]) -> None:
    """The client that was saved so may call from these networks alone."""
    run.world.services.clients.set_networks(run.saved[client]["client_id"], networks)
    run.world.services.versions.forget()


def delete_with_everything(run: Run) -> None:
    """A client that people allowed much deletes itself: nothing that it holds is good for anything then."""
    signer = Signer()
    register(run, "gone")
    register(run, "signs", **CODE, token_endpoint_auth_method="private_key_jwt",
             jwks={"keys": [signer.public()]})  # fmt: skip
    told = run.saved["gone"]
    client_id = told["client_id"]
    given = flows.tokens(run, client=client_id)
    code = flows.code(run, client=client_id)["code"]
    own = run.send(
        {"status": 200, "issued": 1},
        **{"send": "POST /token", "as": client_id},
        form={"grant_type": "client_credentials", "scope": "accounts:read"},
    ).json["access_token"]
    assertion = signer.assertion(run.world, run.saved["signs"]["client_id"])
    for name in ("gone", "signs"):
        _delete(run, run.saved[name])
    for token in (given["access_token"], own):
        run.send(
            {"status": 200, "body": {"active": False}, "body_only": ["active"]},
            **{"send": "POST /introspect", "as": "rs_accounts", "form": {"token": token}},
        )
    redeem = {"grant_type": "authorization_code", "code": code, "redirect_uri": "https://rp.example/cb"}
    refresh = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    for used in (
        redeem | {"code_verifier": "{V1}"}, refresh, {"grant_type": "client_credentials"},
    ):  # fmt: skip
        run.send(GONE, **{"send": "POST /token", "as": client_id, "form": used})
    run.send(GONE, send="POST /token", form=form(assertion))
    run.send(GONE, **{"send": "POST /revoke", "as": client_id, "form": {"token": given["access_token"]}})
    run.send(
        {"status": 401, "error": "invalid_token", "audit": ["resource.rejected"]},
        send="GET /userinfo",
        headers={"Authorization": f"Bearer {given['access_token']}"},
    )
    run.send({"status": 400, "page": True}, send="GET /authorize", base="AZ", client=client_id)


def _delete(run: Run, told: dict[str, Any]) -> None:
    run.send(
        {"status": 204, "rows": None, "audit": ["registration.deleted"]},
        send=f"DELETE /register/{told['client_id']}",
        headers={"Authorization": f"Bearer {told['registration_access_token']}"},
    )
    run.world.services.versions.forget()


def first_use_reaches_nobody(run: Run, hosts: list[str], resolves_to: list[str]) -> None:
    """Names that turn out to lead inside when their client is first heard: nobody there is called."""
    signer = Signer()
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0.2)
        port = canary.getsockname()[1]
        for number, (host, address) in enumerate((h, a) for h in hosts for a in resolves_to):
            uri = f"https://{host}:{port}/jwks?{number}"
            method = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri}
            register(run, "caller", **CODE, **method)
            assertion = signer.assertion(run.world, run.saved["caller"]["client_id"])
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            found = [(family, socket.SOCK_STREAM, 6, "", (address, port))]
            with patch.object(outgoing.socket, "getaddrinfo", return_value=found):
                run.send(GONE, send="POST /token", form=form(assertion))
        try:
            connection, _ = canary.accept()
        except TimeoutError:
            return
        connection.close()
        raise AssertionError("somebody inside was called")


def sectors_that_are_none(run: Run) -> None:
    """Nothing that an address says or does makes a sector, but the one right answer of its host."""
    right = json.dumps(CODE["redirect_uris"]).encode()
    as_json = {"Content-Type": "application/json"}
    token = "here"
    invite(run, token, redirect_hosts=["rp.example", "localhost"])
    with Receiver() as host, Receiver() as elsewhere:
        elsewhere.page, elsewhere.page_headers = right, as_json
        for status, headers, page in (
            (302, as_json | {"Location": elsewhere.uri}, right),
            (301, {"Location": elsewhere.uri}, b""),
            (200, as_json, right + b" " * 100_000),
            (200, as_json | {"Content-Encoding": "gzip"}, gzip.compress(right)),
            (200, {"Content-Type": "text/plain"}, right),
            (200, {"Content-Type": "text/html"}, right),
            (200, as_json, right.replace(b"rp.example", b"rp.example.evil.example")),
            (200, as_json, b'["https://rp.example/*"]'),
            (200, as_json, b"{}"),
            (200, as_json, b""),
            (404, as_json, right),
        ):
            host.page_status, host.page_headers, host.page = status, headers, page
            _register_in_sector(run, token, host.uri, SECTOR_REFUSED)
        assert len(host.heard) == 11
        assert elsewhere.heard == []
        host.page_status, host.page_headers, host.page = 200, as_json, right
        # a name that leads there is not asked, though it has a good address as well
        for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"], ["10.0.0.5"]):
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in addresses]
            with (
                patch.object(outgoing.socket, "getaddrinfo", return_value=found),
                patch.object(run.world.services.outgoing, "_allowed", ()),
            ):
                _register_in_sector(run, "iat", "https://rp.example/sector.json", SECTOR_REFUSED)
        assert len(host.heard) == 11
        _register_in_sector(run, token, host.uri, {"status": 201, "rows": ROWS})


def _register_in_sector(run: Run, token: str, uri: str, expect: dict[str, Any]) -> None:
    run.send(
        expect,
        send="POST /register",
        headers={"Authorization": f"Bearer {{{token}}}"},
        json=CODE | {"subject_type": "pairwise", "sector_identifier_uri": uri},
    )


def many_redirect_uris(run: Run, count: int) -> None:
    """More addresses than a client may have."""
    run.send(
        {"status": 400, "error": "invalid_redirect_uri", "audit": ["registration.rejected/redirect_uri"]},
        send="POST /register",
        headers={"Authorization": "Bearer {iat}"},
        json={"redirect_uris": [f"https://rp.example/cb{number}" for number in range(count)]},
    )


def unused_clients_expire(run: Run, count: int) -> None:
    """Clients that nobody approved are gone after a month; those that are active stay."""
    active = len([c for c in run.world.services.clients.all() if c.active])
    run.clock.walk(30 * DAY)
    assert run.world.services.registrations.expire() == count
    assert len([c for c in run.world.services.clients.all() if c.active]) == active


def has_policy_alone(run: Run, client: str) -> None:
    """What no member may set is as the policy says."""
    found = run.world.services.clients.get(run.saved[client]["client_id"])
    assert found is not None
    assert found.require_pkce
    assert (found.tier, found.profile, found.state) == ("gold", "oauth21", "active")
    assert (found.networks, found.audience) == ((), None)
    assert found.scopes == cast.POLICY.scopes


def probe_registrations(run: Run, client: str, samples: int) -> None:
    """A registration that is there and some that are not, without and with wrong tokens: one answer."""
    told = run.saved[client]
    wrong = {"Authorization": f"Bearer {crypto.random_token()}"}
    expect = {
        "status": 401,
        "error": "invalid_token",
        "audit": ["registration.rejected/registration_access_token"],
    }
    steps: list[dict[str, Any]] = []
    for _ in range(samples):
        for client_id in (told["client_id"], crypto.random_bytes(16).hex()):
            steps += [{"send": f"GET /register/{client_id}", "headers": headers} for headers in ({}, wrong)]
    same_answers(run, steps, expect)
