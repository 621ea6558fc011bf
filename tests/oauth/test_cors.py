"""Cross-origin answers: for origins of registered redirect URIs, at three endpoints, without credentials."""

from __future__ import annotations

import pytest
from journey import CALLBACK, Journey
from plugins.app import World
from werkzeug.test import TestResponse

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
