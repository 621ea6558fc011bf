"""Signing keys through their life, the clock, and what is published of both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugins.app import MASTER
from pydantic import SecretStr

from authserver import clock, crypto
from authserver.app import create_app, services_of
from authserver.errors import Invalid
from authserver.keys import Key
from authserver.purge import purge as purge_rows

from .. import cast
from ..forge import active_key, claims_of, header_of, signed
from ..runner import Run
from ..wire import WSGIWire

ALG = "ES256"


def walk(run: Run, seconds: int) -> None:
    """The clock moves on, or back."""
    run.clock.walk(seconds)


def purge(run: Run) -> None:
    """Rows whose time is over are gone."""
    purge_rows(run.world.services.database)


def compromise(run: Run) -> None:
    """The active key is no longer trusted."""
    _rotate(run, compromise=True)


def make_keys(run: Run, algs: list[str]) -> None:
    """There are keys of more algorithms."""
    for alg in algs:
        run.world.services.rotation.ensure(alg)
    run.world.services.versions.forget()


def rotate(run: Run) -> None:
    """The next key signs, the one before has retired."""
    _rotate(run)


def sign_with_retired_key(run: Run, save: dict[str, str]) -> None:
    """JWTs dated after their key retired, otherwise like ones that there are: ``save`` names both."""
    retired = active_key(run.world)
    _rotate(run)
    run.clock.walk(10)
    for name, like in save.items():
        text = run.fill(f"{{{like}}}")
        claims = claims_of(text) | {"iat": clock.now(), "exp": clock.now() + 300}
        run.saved[name] = signed(retired.pair, header_of(text), claims)
        run.secrets.add(run.saved[name])


def restart(run: Run, master_keys: list[str]) -> None:
    """The server has started anew with these master keys, the first of which seals."""
    texts = {"k1": MASTER, "k2": "k2:" + crypto.b64u(bytes(range(32, 64)))}
    given = SecretStr(",".join(texts[name] for name in master_keys))
    app = create_app(run.world.services.settings.model_copy(update={"master_keys": given}))
    run.apps.append(app)
    run.world.app, run.world.services = app, services_of(app)
    run.wire = WSGIWire(app, run.world.services.settings.issuer)


def rotation_too_early(run: Run) -> None:
    """The keys stay as they are."""
    _rotate_after_wait(run)
    before = _published(run)
    with pytest.raises(Invalid):
        run.world.services.rotation.rotate(ALG)
    assert _published(run) == before
    assert run.world.events("key.rotated")[-1]["detail"]["kid"] == active_key(run.world).kid


def rotation_with_tokens_out(run: Run) -> None:
    """Two rotations: tokens count to their exp; a key is published before, while and after it signs."""
    settings = run.world.services.settings
    outstanding: dict[str, str] = {}
    seen_before_use: set[str] = set(_published(run))
    for _ in range(2):
        token = _token(run)
        outstanding[token] = header_of(token)["kid"]
        run.clock.walk(settings.access_token_lifetime - 10)
        late = _token(run)
        run.clock.walk(settings.jwks_max_age)
        kid = _rotate(run)
        assert kid in seen_before_use, "a key signed that nobody had seen"
        seen_before_use |= set(_published(run))
        assert header_of(_token(run))["kid"] == kid
        assert header_of(late)["kid"] in _published(run), "a key left while its token lived"
        fresh = _token(run)
        run.clock.walk(settings.access_token_lifetime - 1)
        _introspect(run, fresh, active=True)
        run.clock.walk(1)
        _introspect(run, fresh, active=False)
    run.clock.walk(settings.access_token_lifetime + settings.jwks_max_age)
    run.world.services.rotation.advance()
    run.world.services.versions.forget()
    left = _published(run)
    assert not set(outstanding.values()) & set(left), "a key is published after its last token ended"
    rows = run.world.events("key.rotated")
    assert len(rows) == 2
    assert {row["outcome"] for row in rows} == {"succeeded"}
    assert run.world.events("key.created")


def shape_of_jwks(run: Run) -> None:
    """Each key has kid, alg and use, nothing private, and enough bits."""
    keys = _jwks(run)
    kids = [key["kid"] for key in keys]
    assert len(set(kids)) == len(kids) >= 2
    public = {"EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}, "RSA": {"n", "e"}}
    for key in keys:
        assert set(key) == {"kid", "alg", "use", "kty"} | public[key["kty"]], key
        assert key["use"] == "sig"
        assert key["alg"] in ("ES256", "EdDSA", "PS256")
        if key["kty"] == "RSA":
            assert len(key["n"]) * 6 >= 2048 - 6


def metadata_is_true(run: Run) -> None:
    """Each advertised endpoint answers, each advertised method and grant works, and no other."""
    reply = run.send({"status": 200}, send="GET /.well-known/oauth-authorization-server")
    document: dict[str, Any] = reply.json
    assert document == run.send({"status": 200}, send="GET /.well-known/openid-configuration").json
    issuer = run.world.services.settings.issuer
    assert document["issuer"] == issuer
    # RS256 is for what the client alone reads, ID tokens and UserInfo, and no API (OpenID Connect Discovery
    # §3); the acr names a login
    own = {"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported"}
    strong = set(document) - own - {"acr_values_supported"}
    text = json.dumps({name: document[name] for name in strong})
    for weak in ('"none"', '"plain"', "HS256", "RS256", "implicit", "password"):
        assert weak not in text or weak == '"none"', weak
    for name, url in document.items():
        path = url.removeprefix(issuer) if isinstance(url, str) else ""
        if path == "/authorize":
            _authorizes(run, document)
            continue
        if path == "/end_session":
            run.send({"status": 200, "page": True}, send=f"GET {path}")
        elif path == "/userinfo":
            run.send({"status": 401, "error": "invalid_token"}, send=f"GET {path}")
        elif name.endswith("_endpoint"):
            run.send({"status": 405, "headers": {"allow": "^POST$"}}, send=f"GET {path}")
        elif name.endswith("_uri"):
            run.send({"status": 200}, send=f"GET {url.removeprefix(issuer)}")
    form = {"grant_type": "client_credentials", "scope": "reports"}
    cast.client(run.world, "web_pkjwt")
    working = {
        "client_secret_basic": "web1",
        "client_secret_post": "web_post",
        "private_key_jwt": "web_pkjwt",
    }
    assert set(document["token_endpoint_auth_methods_supported"]) == {*working, "none"}
    assert set(document["introspection_endpoint_auth_methods_supported"]) == set(working)
    assert set(document["revocation_endpoint_auth_methods_supported"]) == {*working, "none"}
    # an assertion counts once, and that is remembered
    remembered = {"web_pkjwt": {"replay": 1}}
    for client in working.values():
        expect = {"status": 200, "issued": 1, "rows": remembered.get(client, {})}
        run.send(expect, **{"send": "POST /token", "as": client, "form": form})
    for client in (*working.values(), "spa1"):
        expect = {"status": 200, "rows": remembered.get(client, {})}
        run.send(expect, **{"send": "POST /revoke", "as": client, "form": {"token": "x"}})
    granted = ["client_credentials", "authorization_code", "refresh_token"]
    assert document["grant_types_supported"] == granted
    for scope in document["scopes_supported"]:
        assert scope in run.world.services.scopes.all()


def _authorizes(run: Run, document: dict[str, Any]) -> None:
    """What is said of authorization requests is so, and nothing else is."""
    base = {"send": "GET /authorize", "base": "AZ"}
    known = {
        "response_type": (["code"], ["token", "id_token", "code id_token", "none"]),
        "code_challenge_method": (["S256"], ["plain"]),
        "response_mode": (["query", "form_post"], ["fragment", "jwt", "query.jwt", "web_message"]),
        "prompt": (["none", "login", "consent", "select_account"], ["create"]),
    }
    for name, member in (
        ("response_type", "response_types_supported"),
        ("code_challenge_method", "code_challenge_methods_supported"),
        ("response_mode", "response_modes_supported"),
        ("prompt", "prompt_values_supported"),
    ):
        right, wrong = known[name]
        assert sorted(document[member]) == sorted(right), member
        for value in right:
            there = {"startswith": "/authorize/resume?"}
            run.send(
                {"status": 303, "location": there, "rows": {"interaction": 1}}, set={name: value}, **base
            )
        for value in wrong:
            refused = {"params": {"iss": document["issuer"]}, "absent": ["code"]}
            run.send(
                {"status": 303, "location": refused, "audit": ["authz.rejected"]}, set={name: value}, **base
            )
    for name, member in (
        ("request", "request_parameter_supported"),
        ("request_uri", "request_uri_parameter_supported"),
    ):
        assert document[member] is False
        run.send({"status": 303, "audit": [f"authz.rejected/{name}"]}, set={name: "x"}, **base)
    assert document["authorization_response_iss_parameter_supported"] is True


def _token(run: Run) -> str:
    form = {"grant_type": "client_credentials", "scope": "accounts:read"}
    reply = run.send({"status": 200, "issued": 1}, **{"send": "POST /token", "as": "web1", "form": form})
    return str(reply.json["access_token"])


def _introspect(run: Run, token: str, *, active: bool) -> None:
    run.send(
        {"status": 200, "body": {"active": active}},
        **{"send": "POST /introspect", "as": "rs_accounts", "form": {"token": token}},
    )


def _jwks(run: Run) -> list[dict[str, Any]]:
    return list(run.send({"status": 200}, send="GET /jwks").json["keys"])


def _published(run: Run) -> list[str]:
    return [key["kid"] for key in _jwks(run)]


def _rotate(run: Run, *, compromise: bool = False) -> str:
    kid = run.world.services.rotation.rotate(ALG, compromise=compromise)
    run.world.services.versions.forget()
    return kid


def _rotate_after_wait(run: Run) -> Key:
    run.clock.walk(run.world.services.settings.jwks_max_age)
    _rotate(run)
    return active_key(run.world)
