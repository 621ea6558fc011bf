"""Cross-origin answers: for origins of registered redirect URIs, at three endpoints, without credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from journey import CALLBACK, Journey
from plugins.app import World
from werkzeug.test import TestResponse

from authserver.app import services_of
from authserver.errors import Unavailable
from authserver.oauth.cors import origins

MINE = "https://client.example"
ENDPOINTS = ("/token", "/revoke", "/userinfo")


@pytest.fixture
def journey(world: World) -> Journey:
    code = ["authorization_code"]
    clients = {"shop": ("client_secret_basic", code), "spa": ("none", code)}
    journey = Journey(world).prepare(clients=clients)
    world.services.clients.set_redirect_uris("shop", ["https://shop.example:8443/cb"])
    # of all clients spa alone is at MINE
    world.services.clients.set_redirect_uris("web1", ["https://web1.example/cb"])
    return journey


def allowed(response: TestResponse) -> str | None:
    assert "Access-Control-Allow-Credentials" not in response.headers
    return response.headers.get("Access-Control-Allow-Origin")


def test_an_origin_is_scheme_host_and_port_as_browsers_write_it() -> None:
    uris = [CALLBACK, "https://A.example:443/x", "http://127.0.0.1:80/", "http://[::1]:9/", "com.a.app:/cb"]
    assert origins(uris) == {MINE, "https://a.example", "http://127.0.0.1", "http://[::1]:9"}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_preflight_is_answered_for_registered_origins_alone(journey: Journey, path: str) -> None:
    for origin in (MINE, "https://shop.example:8443"):
        response = journey.world.send("OPTIONS", path, headers={"Origin": origin}, content_type=None)
        assert (response.status_code, allowed(response)) == (204, origin)
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert response.headers["Vary"] == "Origin"
    evil = (
        "null",
        "*",
        "https://evil.example",
        MINE + ".evil.example",
        MINE.upper(),
        "http://client.example",
    )
    for origin in evil:
        response = journey.world.send("OPTIONS", path, headers={"Origin": origin}, content_type=None)
        assert (response.status_code, allowed(response)) == (405, None), origin
        assert "Access-Control-Allow-Methods" not in response.headers
        assert "OPTIONS" not in response.headers["Allow"]


def test_an_answer_is_for_the_clients_own_origins(journey: Journey) -> None:
    def token(origin: str) -> TestResponse:
        form = {
            "grant_type": "authorization_code", "code": journey.code("spa"), "redirect_uri": CALLBACK,
            "code_verifier": "v" * 43,
        }  # fmt: skip
        return journey.world.post("/token", as_="spa", form=form, headers={"Origin": origin})

    mine = token(MINE)
    assert (mine.status_code, allowed(mine)) == (200, MINE)
    assert "WWW-Authenticate" in mine.headers["Access-Control-Expose-Headers"]
    assert "DPoP-Nonce" in mine.headers["Access-Control-Expose-Headers"]
    # an origin of another client's
    other = token("https://shop.example:8443")
    assert (other.status_code, allowed(other)) == (200, None)
    body = mine.json
    for origin, answer in ((MINE, MINE), ("https://shop.example:8443", None)):
        assert allowed(journey.userinfo(body["access_token"], headers={"Origin": origin})) == answer
        revoked = journey.world.post("/revoke", as_="spa", form={"token": "x"}, headers={"Origin": origin})
        assert (revoked.status_code, allowed(revoked)) == (200, answer)


def test_a_page_may_read_errors_too(journey: Journey) -> None:
    headers = {"Origin": MINE}
    for response in (
        journey.world.post("/token", as_="spa", form={"grant_type": "nosuch"}, headers=headers),
        journey.world.post("/token", form={"client_id": "spa"}, headers=headers, query="x=1"),
        journey.world.send("GET", "/userinfo", headers=headers),
    ):
        assert response.status_code in (400, 401)
        assert allowed(response) == MINE


@pytest.mark.parametrize("path", ["/introspect", "/revocations", "/readyz"])
def test_nothing_else_is_for_other_origins(journey: Journey, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        response = journey.world.send(method, path, headers={"Origin": MINE}, content_type=None)
        assert allowed(response) is None


def test_a_changed_registration_counts_at_once_and_a_suspended_client_does_not(journey: Journey) -> None:
    services = journey.world.services

    def preflight(origin: str) -> str | None:
        services.versions.forget()
        return allowed(journey.world.send("OPTIONS", "/token", headers={"Origin": origin}, content_type=None))

    assert preflight(MINE) == MINE
    services.clients.set_redirect_uris("spa", ["https://new.example/cb"])
    assert (preflight(MINE), preflight("https://new.example")) == (None, "https://new.example")
    services.clients.set_state("spa", "suspended")
    assert preflight("https://new.example") is None


STRANGERS = ("https://evil.example", "null", MINE + ".evil.example")


def failing(journey: Journey, monkeypatch: pytest.MonkeyPatch, name: str) -> Callable[[str], TestResponse]:
    """Something that is refused before or beside the endpoint, as a function of the origin."""
    world = journey.world
    services = world.services

    def post(origin: str, path: str = "/token", **arguments: Any) -> TestResponse:
        headers = {"Origin": origin} | arguments.pop("headers", {})
        return world.post(path, headers=headers, **({"form": {"client_id": "spa"}} | arguments))

    def broken(*_: object) -> None:
        raise Unavailable("database") if name == "503" else ZeroDivisionError

    if name in ("503", "500"):
        post(MINE)
        monkeypatch.setattr(services.server, "token", broken)
        if name == "503":
            monkeypatch.setattr(services.versions, "current", broken)
        return post
    if name == "429":
        monkeypatch.setattr(world.app.extensions["authserver.edge"]._places, "_free", lambda _: False)
        return post
    return {
        "400 host": lambda origin: post(origin, headers={"Host": "evil.example"}),
        "400 chunked": lambda origin: post(origin, headers={"Transfer-Encoding": "chunked"}),
        "405": lambda origin: world.send("PUT", "/token", headers={"Origin": origin}),
        "405 case": lambda origin: world.send("pOST", "/revoke", headers={"Origin": origin}),
        "413": lambda origin: post(origin, body=b"a" * 70_000),
        "414": lambda origin: post(origin, "/userinfo", query="a=" + "a" * 9000),
        "431": lambda origin: post(origin, "/revoke", headers={"X-Long": "a" * 20_000}),
    }[name]


@pytest.mark.parametrize(
    "name",
    ["400 host", "400 chunked", "405", "405 case", "413", "414", "429", "431", "500", "503"],
)
def test_a_page_may_read_what_the_endpoint_never_saw_and_strangers_may_not(
    journey: Journey, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ask = failing(journey, monkeypatch, name)
    mine = ask(MINE)
    assert (str(mine.status_code), allowed(mine)) == (name[:3], MINE)
    assert mine.headers.getlist("Vary") == ["Origin"]
    assert "Retry-After" in mine.headers["Access-Control-Expose-Headers"]
    for origin in STRANGERS:
        response = ask(origin)
        assert (str(response.status_code), allowed(response)) == (name[:3], None), origin
        assert response.headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("path", ["/introspect", "//token", "/token/", "/account", "/nowhere", "/authorize"])
def test_errors_of_all_other_addresses_are_for_nobody(journey: Journey, path: str) -> None:
    for arguments in ({"query": "a=" + "a" * 9000}, {"headers": {"X-Long": "a" * 20_000}}, {}):
        given = arguments | {"headers": {"Origin": MINE} | arguments.get("headers", {})}  # type: ignore[operator]
        assert allowed(journey.world.send("PUT", path, **given)) is None  # type: ignore[arg-type]


def test_errors_follow_a_changed_registration(journey: Journey) -> None:
    world = journey.world
    put = {"headers": {"Origin": MINE}}
    assert allowed(world.send("PUT", "/token", **put)) == MINE  # type: ignore[arg-type]
    world.services.clients.set_redirect_uris("spa", ["https://new.example/cb"])
    world.services.versions.forget()
    assert allowed(world.send("PUT", "/token", **put)) is None  # type: ignore[arg-type]


def test_a_process_that_started_without_its_database_opens_nothing(
    journey: Journey, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> None:
    world = World(make_app(), journey.world.services)
    monkeypatch.setattr(services_of(world.app).server, "token", lambda _: 1 / 0)
    assert allowed(world.post("/token", headers={"Origin": MINE})) is None
    world.app.extensions["authserver.edge"].warm()
    assert allowed(world.post("/token", headers={"Origin": MINE})) == MINE
