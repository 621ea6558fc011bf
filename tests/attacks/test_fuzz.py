"""Hostile text at every endpoint: never 5xx, always JSON, nothing issued, nothing echoed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.app import World, make_settings, populate

from authserver.app import create_app, services_of

from .hostile import (
    AUTHORIZATION,
    BODIES,
    FIELDS,
    FORM,
    HEADER_TEXT,
    MARK,
    METHODS,
    PAIRS,
    QUERIES,
    TOKENS,
    TYPES,
    basic,
    pairs_to_body,
)
from .invariants import Snapshot, check_chain, check_error
from .wire import Reply, Request, WSGIWire

BOUNDED = settings(
    max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
ENDPOINTS = st.sampled_from(["/token", "/introspect", "/revoke", "/register"])
# clients that are who they say, so that what comes after authentication is reached; each has scopes of two
# APIs, or no grant: no request without a scope of this world gets a token
CALLERS = ["web1", "svc1", "post", "spa1", "rs_accounts"]
PUBLIC = [
    "/jwks",
    "/revocations",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
]


@pytest.fixture(scope="module")
def target(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One app for all examples: none of them changes anything, or the test fails."""
    directory = tmp_path_factory.mktemp("fuzz")
    path = directory / "authserver.db"
    path.write_bytes(sqlite_template.read_bytes())
    world = populate(create_app(make_settings(directory, f"sqlite:///{path}")))
    values = {
        "client_id": "post", "client_name": "post", "state": "active", "tier": "gold", "profile": "oauth21",
        "token_endpoint_auth_method": "client_secret_post", "grant_types": ["client_credentials"],
        "redirect_uris": [], "scopes": ["reports", "accounts:read"],
    }  # fmt: skip
    _, secret = world.services.clients.create(values)
    assert secret is not None
    world.secrets["post"], world.methods["post"] = secret, "client_secret_post"
    yield world
    services_of(world.app).database.engine.dispose()


@pytest.fixture(autouse=True)
def nothing_changes(target: World) -> Iterator[None]:
    before = Snapshot.of(target.services)
    yield
    assert Snapshot.of(target.services) == before
    assert target.events("error.unhandled") == []
    check_chain(target.services)


@BOUNDED
@given(
    ENDPOINTS, METHODS, st.sampled_from(["", *CALLERS]), BODIES, TYPES, AUTHORIZATION, QUERIES, st.booleans()
)
def test_requests_to_the_endpoints(  # noqa: PLR0917
    target: World,
    path: str,
    method: str,
    caller: str,
    body: bytes,
    kind: str,
    authorization: str | None,
    query: str,
    chunked: bool,
) -> None:
    headers = [("Content-Type", kind)] if kind else []
    if authorization is not None:
        headers.append(("Authorization", authorization))
    body = _with(caller, target, body, headers)
    request = Request(method, path + (f"?{query}" if query else ""), tuple(headers), body, chunked=chunked)
    _judge(_send(target, request))


@BOUNDED
@given(ENDPOINTS, st.sampled_from(CALLERS), PAIRS)
def test_parameters_of_clients_that_authenticate(
    target: World, path: str, caller: str, pairs: list[tuple[str, str]]
) -> None:
    headers = [("Content-Type", FORM)]
    body = _with(caller, target, pairs_to_body(pairs), headers)
    _judge(_send(target, Request("POST", path, tuple(headers), body)))


@BOUNDED
@given(
    st.sampled_from(["scope", "resource", "audience", "x"]), st.sampled_from(["web1", "svc1", "post"]), PAIRS
)
def test_parameters_of_the_client_credentials_grant(
    target: World, name: str, caller: str, pairs: list[tuple[str, str]]
) -> None:
    headers = [("Content-Type", FORM)]
    mine = [("grant_type", "client_credentials"), *((name, value) for _, value in pairs[:2])]
    body = _with(caller, target, pairs_to_body(mine), headers)
    _judge(_send(target, Request("POST", "/token", tuple(headers), body)))


@BOUNDED
@given(st.sampled_from(["web1", "rs_accounts"]), st.sampled_from(["/introspect", "/revoke"]), TOKENS)
def test_tokens_that_are_json_underneath(target: World, caller: str, path: str, token: str) -> None:
    headers = [("Content-Type", FORM)]
    body = _with(caller, target, pairs_to_body([("token", token)]), headers)
    _judge(_send(target, Request("POST", path, tuple(headers), body)))


@BOUNDED
@given(
    st.sampled_from([*PUBLIC, "/healthz", "/", "/static/x"]),
    QUERIES,
    st.lists(st.tuples(FIELDS, HEADER_TEXT.map(MARK.__add__)), max_size=4),
    st.sampled_from(["GET", "GET", "HEAD"]),
)
def test_public_documents(
    target: World, path: str, query: str, headers: list[tuple[str, str]], method: str
) -> None:
    reply = _send(target, Request(method, path + (f"?{query}" if query else ""), tuple(headers)))
    assert reply.status in ((404,) if path == "/static/x" else (200, 304)), reply
    _nothing_echoed(reply)


@BOUNDED
@given(HEADER_TEXT.map(lambda text: text.replace(" ", "").replace("?", "")), METHODS)
def test_paths(target: World, path: str, method: str) -> None:
    reply = _send(target, Request(method, f"/{MARK}{path}"))
    assert reply.status in (404, 405), reply
    check_error(reply)
    _nothing_echoed(reply)


def _send(target: World, request: Request) -> Reply:
    return WSGIWire(target.app, target.services.settings.issuer).send(request)


def _judge(reply: Reply) -> None:
    assert reply.status < 500, (reply.status, reply.body)
    _nothing_echoed(reply)
    if reply.status >= 400:
        check_error(reply)
    elif reply.request.target == "/introspect":
        assert reply.json == {"active": False}
    else:
        # what is no token is revoked with success (RFC 7009 §2.2), and an empty body; no token is issued
        assert (reply.request.target, reply.status, reply.body) == ("/revoke", 200, b"")


def _nothing_echoed(reply: Reply) -> None:
    assert MARK.encode() not in reply.body
    assert MARK not in json.dumps(reply.headers)


def _with(caller: str, target: World, body: bytes, headers: list[tuple[str, str]]) -> bytes:
    """The body with the caller's credentials in it, or in the headers, as it is registered."""
    if not caller:
        return body
    secret = target.secrets.get(caller, "")
    if target.methods[caller] == "client_secret_basic":
        headers[:] = [header for header in headers if header[0] != "Authorization"]
        headers.append(("Authorization", basic(f"{caller}:{secret}")))
        return body
    own = [("client_id", caller), ("client_secret", secret)]
    return body + b"&" + pairs_to_body([pair for pair in own if pair[1]])
