"""Hostile text at every endpoint: never 5xx, always JSON, nothing issued, nothing echoed, no row that was not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.app import World, make_settings, populate

from authserver.app import create_app, services_of

from .invariants import Snapshot, check_chain, check_error
from .wire import Reply, Request, WSGIWire

FORM = "application/x-www-form-urlencoded"
BOUNDED = settings(
    max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
MARK = "kWq7Zz"  # in what we send, never in what the server says by itself

HOSTILE = st.sampled_from([
    "\x00", "a\x00b", "'", '"', "' OR '1'='1", '"; DROP TABLE client; --', "\\", "%", "%00", "%zz", "%u0041", "\r\nX: y",
    "\n", "\t", "\u0085", "\u2028", "\u202e", "\ufeff", "\ud800", "\U0001f4a9", "{{7*7}}", "${7*7}", "<script>", "../../",
    "%2e%2e%2f", "A" * 70_000, "A" * 1_048_576, "A" * 5000, "a" * 129, "null", "true", "[]", "{}", "-1", "1e309", "NaN",
    "[" * 20_000, '{"a":' * 5000, "..", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30.", "Bearer x", "client_credentials",
])  # fmt: skip
TEXT = st.one_of(HOSTILE, st.text(max_size=40), st.text("abc&=+%;.\x00\xff'\"", max_size=20)).map(MARK.__add__)
NAMES = st.sampled_from(
    ["grant_type", "scope", "token", "token_type_hint", "client_id", "client_secret", "resource", "client_assertion",
     "client_assertion_type", "code", "audience", "authorization_details", "x", "", "\x00", "grant_type[]", "__proto__"]
)  # fmt: skip
GRANTS = st.sampled_from(["client_credentials", "password", "authorization_code", "refresh_token", "", "\x00"])


def _escape(text: str) -> bytes:
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()


def _pairs(pairs: list[tuple[str, str]]) -> bytes:
    return b"&".join(_escape(name) + b"=" + _escape(value) for name, value in pairs)


PAIRS = st.lists(st.tuples(NAMES, st.one_of(TEXT, GRANTS)), max_size=8)
BODIES = st.one_of(
    PAIRS.map(_pairs),
    st.tuples(GRANTS, PAIRS).map(lambda t: _pairs([("grant_type", t[0]), *t[1]])),
    PAIRS.map(lambda pairs: _pairs(pairs) + b"&" + _pairs(pairs)),
    st.binary(max_size=60),
    TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.just(b"token=\xff\xfe&grant_type=client_credentials"),
    st.just(b"&" * 5000),
    st.just(json.dumps({"grant_type": "client_credentials"}).encode()),
    st.just(b'{"a":' * 10_000),
)
TYPES = st.sampled_from(
    [FORM, FORM, FORM, FORM, f"{FORM}; charset=utf-8", f"{FORM}; charset=utf-16", "application/json", "text/plain",
     "multipart/form-data", "multipart/form-data; boundary=x", "", "\xff", "a/b; c=\xff", FORM * 100]
)  # fmt: skip


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=60)
AUTHORIZATION = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["web1", "nobody", "", "svc1"]), TEXT).map(lambda t: _basic(f"{t[0]}:{t[1]}"[:8000])),
    TEXT.map(lambda text: _basic(text[:8000])),
    HEADER_TEXT,
    HEADER_TEXT.map("Basic ".__add__),
    HEADER_TEXT.map("Bearer ".__add__),
    st.binary(max_size=40).map(lambda data: "Basic " + base64.b64encode(data).decode()),
)
METHODS = st.sampled_from(["POST"] * 12 + ["GET", "PUT", "HEAD", "FOO", "OPTIONS"])
QUERIES = st.one_of(
    st.just(""),
    st.just(""),
    PAIRS.map(lambda pairs: _pairs(pairs).decode()[:6000]),
    HEADER_TEXT.map(lambda text: text.replace(" ", "+").replace("#", "")),
)
ENDPOINTS = st.sampled_from(["/token", "/introspect", "/revoke"])
# as a client that is who it says, too: what comes after authentication is to be reached
CALLERS = st.sampled_from(["", "", "web1", "web_post", "spa1", "rs_accounts"])


@pytest.fixture(scope="module")
def target(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One app for all examples: none of them changes anything, or the test fails."""
    directory = tmp_path_factory.mktemp("fuzz")
    path = directory / "authserver.db"
    path.write_bytes(sqlite_template.read_bytes())
    app: Flask = create_app(make_settings(directory, f"sqlite:///{path}"))
    yield populate(app)
    services_of(app).database.engine.dispose()


@pytest.fixture(autouse=True)
def nothing_changes(target: World) -> Iterator[None]:
    before = Snapshot.of(target.services)
    yield
    assert Snapshot.of(target.services) == before
    assert target.events("error.unhandled") == []
    check_chain(target.services)


def _send(target: World, request: Request) -> Reply:
    return WSGIWire(target.app, target.services.settings.issuer).send(request)


def _judge(reply: Reply) -> None:
    assert reply.status < 500, (reply.status, reply.body)
    assert MARK.encode() not in reply.body
    assert MARK not in json.dumps(reply.headers)
    if reply.status >= 400:
        check_error(reply)
    elif reply.request.target.startswith("/introspect"):
        assert reply.json == {"active": False}
    else:
        # a token that is none is revoked with success, and an empty body
        assert (reply.request.target, reply.status, reply.body) == ("/revoke", 200, b"")


def _with(caller: str, target: World, body: bytes, headers: list[tuple[str, str]]) -> bytes:
    if not caller:
        return body
    secret = target.secrets.get(caller, "")
    if target.methods[caller] == "client_secret_basic":
        headers[:] = [h for h in headers if h[0] != "Authorization"]
        headers.append(("Authorization", _basic(f"{caller}:{secret}")))
        return body
    own = [("client_id", caller), ("client_secret", secret)]
    return body + b"&" + _pairs([pair for pair in own if pair[1]])


@BOUNDED
@given(ENDPOINTS, METHODS, CALLERS, BODIES, TYPES, AUTHORIZATION, QUERIES, st.booleans())
def test_post_endpoints(  # noqa: PLR0917
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
    reply = _send(target, request)
    if reply.status == 200 and path == "/token":
        raise AssertionError(f"a token was issued for {request}")
    _judge(reply)


@BOUNDED
@given(ENDPOINTS, st.sampled_from(["web1", "rs_accounts", "svc1"]), PAIRS)
def test_parameters_of_clients_that_authenticate(
    target: World, path: str, caller: str, pairs: list[tuple[str, str]]
) -> None:
    headers = [("Content-Type", FORM)]
    body = _with(caller, target, _pairs(pairs), headers)
    reply = _send(target, Request("POST", path, tuple(headers), body))
    assert not (path == "/token" and reply.status == 200), pairs
    _judge(reply)


@BOUNDED
@given(st.sampled_from(["web1", "rs_accounts"]), ENDPOINTS.filter(lambda path: path != "/token"), st.data())
def test_tokens_that_are_json_underneath(target: World, caller: str, path: str, data: st.DataObject) -> None:
    values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=8,
    )
    names = st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "jku", "exp", "iat", "aud", "sub", "jti", "b64"])
    typical = st.sampled_from(["ES256", "none", "HS256", "at+jwt", "JWT"])
    header = data.draw(st.one_of(st.dictionaries(names, st.one_of(values, typical), max_size=5), values))
    claims = data.draw(st.one_of(st.dictionaries(names, values, max_size=5), values))
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    token = ".".join([*parts, data.draw(st.sampled_from(["", "AA", "AAAA", "A", "=", "é"]))])
    headers = [("Content-Type", FORM)]
    body = _with(caller, target, _pairs([("token", token)]), headers)
    _judge(_send(target, Request("POST", path, tuple(headers), body)))


PUBLIC = ["/jwks", "/revocations", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]
FIELDS = st.sampled_from(
    ["If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding", "Range", "Cookie", "Origin", "Referer", "User-Agent",
     "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Authorization", "Content-Length", "Transfer-Encoding", "Expect"]
)  # fmt: skip


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
    expected = (404,) if path == "/static/x" else (200, 304)
    assert reply.status in expected, reply
    assert MARK.encode() not in reply.body
    assert MARK not in json.dumps(reply.headers)


@BOUNDED
@given(HEADER_TEXT.map(lambda text: text.replace(" ", "").replace("?", "")), METHODS)
def test_paths(target: World, path: str, method: str) -> None:
    reply = _send(target, Request(method, f"/{MARK}{path}"))
    assert reply.status in (404, 405), reply
    check_error(reply)
    assert MARK.encode() not in reply.body
