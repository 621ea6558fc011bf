"""Everything advertised works, and everything that works is advertised."""

from __future__ import annotations

import pytest
from plugins.app import ISSUER, World

PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
# what the server does besides the protocol endpoints that metadata names
UNADVERTISED = {"/", "/healthz", "/readyz", "/metrics", "/static/<path:filename>"}


@pytest.mark.spec("RFC 8414", "3.2")
def test_both_documents_name_the_issuer_exactly_and_are_public(world: World) -> None:
    documents = [world.send("GET", path) for path in PATHS]
    assert documents[0].data == documents[1].data
    assert documents[0].json["issuer"] == ISSUER
    assert documents[0].content_type == "application/json"
    assert documents[0].headers["Access-Control-Allow-Origin"] == "*"
    again = world.send("GET", PATHS[0], headers={"If-None-Match": documents[0].headers["ETag"]})
    assert again.status_code == 304


def test_every_advertised_endpoint_exists_and_every_route_is_advertised(world: World) -> None:
    metadata = world.send("GET", PATHS[0]).json
    urls = {v for k, v in metadata.items() if k.endswith(("_endpoint", "_uri"))}
    advertised = {url.removeprefix(ISSUER) for url in urls}
    for path in advertised:
        assert world.send("GET", path).status_code != 404, path
    routes = {rule.rule for rule in world.app.url_map.iter_rules()} - UNADVERTISED
    assert routes | {"/jwks"} == advertised


@pytest.mark.spec("RFC 8414", "2")
def test_every_advertised_scope_grant_and_method_works(world: World) -> None:
    metadata = world.send("GET", PATHS[0]).json
    assert metadata["grant_types_supported"] == ["client_credentials"]
    for scope in metadata["scopes_supported"]:
        assert world.token(scope=scope).status_code == 200, scope
    callers = {"client_secret_basic": "web1", "client_secret_post": "web_post", "none": "spa1"}
    for method in metadata["token_endpoint_auth_methods_supported"]:
        assert world.token(callers[method], scope="reports").status_code == 200
    for method in metadata["revocation_endpoint_auth_methods_supported"]:
        assert world.post("/revoke", as_=callers[method], form={"token": "x"}).status_code == 200
    for method in metadata["introspection_endpoint_auth_methods_supported"]:
        assert world.post("/introspect", as_=callers[method], form={"token": "x"}).status_code == 200
    assert "none" not in metadata["introspection_endpoint_auth_methods_supported"]
    assert world.post("/introspect", as_="spa1", form={"token": "x"}).status_code == 401


def test_a_scope_that_nobody_owns_is_not_advertised_and_not_issued(world: World) -> None:
    assert "openid" not in world.send("GET", PATHS[0]).json["scopes_supported"]
    assert world.token(scope="openid").json["error"] == "invalid_scope"


def test_a_new_scope_is_advertised_at_once(world: World) -> None:
    world.services.scopes.describe("payments:cancel", "Cancel payments", "https://api.example/payments")
    world.services.versions.forget()
    assert "payments:cancel" in world.send("GET", PATHS[0]).json["scopes_supported"]
    world.services.scopes.remove("payments:cancel")
    world.services.versions.forget()
    assert "payments:cancel" not in world.send("GET", PATHS[0]).json["scopes_supported"]
