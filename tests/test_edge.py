"""The layer ahead of Flask: addresses, sizes, hosts, and the documents that are bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plugins.app import World

from authserver import context
from authserver.edge import FORWARDING

PEERS = ("10.0.0.0/8", "unix")


def address_seen(world: World, peer: str, headers: dict[str, str]) -> str:
    world.http.open(
        "/nowhere",
        base_url=world.services.settings.issuer,
        headers=headers,
        environ_overrides={"REMOTE_ADDR": peer},
    )
    return str(world.events("http.rejected")[-1]["client_ip"])


def test_without_trusted_peers_every_forwarding_header_is_ignored(world: World) -> None:
    lies = {n.removeprefix("HTTP_").replace("_", "-"): "203.0.113.9" for n in FORWARDING}
    assert address_seen(world, "198.51.100.7", lies) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.1", "junk, 10.0.0.7", ""),
        ("10.0.0.1", "203.0.113.9,", ""),
        ("10.0.0.1", "10.0.0.3", ""),
        ("10.0.0.1", None, ""),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("", "203.0.113.9", "203.0.113.9"),
        ("", None, ""),
    ],
)
def test_one_header_from_a_trusted_peer_is_read_from_the_right(
    make_world: Callable[..., World], peer: str, header: str | None, expected: str
) -> None:
    world = make_world(trusted_peers=PEERS, client_address_header="X-Forwarded-For")
    headers = {"X-Real-IP": "192.0.2.99"} | ({} if header is None else {"X-Forwarded-For": header})
    assert address_seen(world, peer, headers) == expected


def test_an_address_that_cannot_be_known_gets_no_token(make_world: Callable[..., World]) -> None:
    world = make_world(trusted_peers=PEERS, client_address_header="X-Forwarded-For")
    response = world.post("/token", as_="svc1", form={"grant_type": "client_credentials"}, address="")
    assert (response.status_code, response.json["error"]) == (403, "access_denied")


def test_the_environment_of_the_process_stays_out_of_environ(
    monkeypatch: pytest.MonkeyPatch, make_world: Callable[..., World]
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    world = make_world()
    seen: dict[str, Any] = {}

    @world.app.get("/seen")
    def view() -> str:
        from flask import request

        seen.update(request.environ)
        seen["caller"] = context.current.get()
        return ""

    overrides = {"DATABASE_PASSWORD": "hunter2", "HTTP_PROXY": "http://proxy", "REMOTE_ADDR": "192.0.2.1"}
    world.http.get("/seen", base_url=world.services.settings.issuer, environ_overrides=overrides)
    assert seen["REMOTE_ADDR"] == "192.0.2.1"
    assert "DATABASE_PASSWORD" not in seen
    assert "HTTP_PROXY" not in seen
    assert seen["caller"].resource == "GET /seen"


def test_a_method_in_lower_case_is_no_method(world: World) -> None:
    environ = {"REQUEST_METHOD": "post", "REMOTE_ADDR": "192.0.2.1"}
    response = world.http.open("/token", base_url=world.services.settings.issuer, environ_overrides=environ)
    assert (response.status_code, response.json["error"]) == (405, "invalid_request")


def test_another_host_is_refused_but_for_health(world: World) -> None:
    for path, status in (("/jwks", 400), ("/token", 400), ("/healthz", 200), ("/readyz", 200)):
        response = world.http.get(path, base_url="http://evil.example")
        assert response.status_code == status, path
        assert "Location" not in response.headers
    assert "evil" not in world.http.get("/jwks", base_url="http://evil.example").text


def test_a_browser_at_another_host_gets_a_page_that_leads_to_this_one(world: World) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9", "Accept-Language": "de-AT, en;q=0.5"}
    hostile = 'http://evil.example"><script>'
    page = world.http.get("/login?x=<script>", base_url="http://evil.example", headers=browser)
    assert (page.status_code, page.mimetype) == (400, "text/html")
    assert '<html lang="de">' in page.text
    assert page.headers["Content-Language"] == "de"
    assert "Dieser Server antwortet als http://localhost:8000." in page.text
    assert '<a href="http://localhost:8000/">' in page.text
    for part in ("evil", "script"):
        assert part not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in page.headers
    del browser["Accept-Language"]
    plain = world.http.get(
        "/", base_url="http://evil.example", headers=browser | {"Accept-Language": hostile}
    )
    assert "This server answers as http://localhost:8000." in plain.text
    assert "evil" not in plain.text
    # a program at the same address is answered as ever
    told = world.http.get("/", base_url="http://evil.example", headers={"Accept": "*/*"})
    assert told.json["error_description"] == "This server answers as http://localhost:8000."


def test_a_head_that_is_too_large_is_refused(world: World) -> None:
    assert world.send("GET", "/" + "a" * 9000).status_code == 414
    assert world.send("GET", "/jwks", query="a=" + "b" * 9000).status_code == 414
    response = world.send("GET", "/jwks", headers={"X-Large": "a" * 17_000})
    assert (response.status_code, response.json["error"]) == (431, "invalid_request")
    assert world.events("http.rejected")[-1]["reason"] == "too_large"


@pytest.mark.spec("RFC 7517", "5")
def test_the_jwks_is_public_cacheable_and_revalidates(world: World) -> None:
    response = world.send("GET", "/jwks")
    assert response.content_type == "application/jwk-set+json"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    keys = response.json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) == 2
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {member for key in keys for member in key}
    assert all(key["use"] == "sig" and key["alg"] == "ES256" for key in keys)
    again = world.send("GET", "/jwks", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for tags in ("*", f"W/{response.headers['ETag']}", f'"x", {response.headers["ETag"]}'):
        assert world.send("GET", "/jwks", headers={"If-None-Match": tags}).status_code == 304
    assert world.send("GET", "/jwks", headers={"If-None-Match": '"x"'}).status_code == 200
    head = world.send("HEAD", "/jwks", content_type=None)
    assert (head.status_code, head.data) == (200, b"")


def test_every_answer_names_its_request(world: World) -> None:
    ids = {
        world.send("GET", path).headers["X-Request-Id"]
        for path in ("/jwks", "/healthz", "/nowhere", "/token")
    }
    assert len(ids) == 4


def test_metrics_are_for_the_networks_that_the_settings_name(world: World) -> None:
    assert world.send("GET", "/metrics", address="127.0.0.1").status_code == 200
    assert b"authserver_requests_total" in world.send("GET", "/metrics", address="::1").data
    for address in ("192.0.2.1", "", "127.0.0.1.evil"):
        assert world.send("GET", "/metrics", address=address).status_code == 403
