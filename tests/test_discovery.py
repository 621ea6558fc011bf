"""Everything advertised works, and everything that works is advertised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from assertions import Signer, register
from journey import CALLBACK, SCOPES, Journey, claims_of, header_of
from plugins.app import ISSUER, World
from sqlalchemy import update

from authserver.db import table_of
from authserver.models.client import Client
from authserver.oauth.discovery import metadata

CODE = ["authorization_code", "refresh_token"]
PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
# what the server does besides the protocol endpoints that metadata names
UNADVERTISED = {
    "/", "/healthz", "/readyz", "/metrics", "/static/<path:filename>", "/brand/logo", "/brand.css",
}  # fmt: skip
# each client is told its own address when it is registered
UNADVERTISED |= {"/register/<client_id>"}
# pages for people, which they reach from others
PAGES = {
    "/login", "/logout", "/enrol", "/account", "/account/sessions/end", "/consent", "/authorize/resume",
    "/authorize/cancel", "/account/consents/withdraw", "/account/sessions/end-all", "/account/password",
    "/end_session/resume", "/end_session/confirm", "/language", "/account/payments/withdraw",
    "/login/passkey", "/login/passkey/options", "/mfa/passkey/options", "/account/passkeys",
    "/account/passkeys/options", "/account/passkeys/rename", "/account/passkeys/remove",
    "/consent/payment-challenge",
    "/mfa", "/second-factor", "/account/security", "/account/totp", "/account/totp/confirm",
    "/account/totp/remove", "/account/recovery-codes", "/account/sessions", "/account/consents",
    "/account/activity", "/account/activity/sign-in", "/account/activity/not-me",
    "/account/activity/recovery", "/account/data", "/account/data/export", "/account/data/delete",
    "/account/data/keep", "/account/email", "/account/email/confirm",
    "/confirm-device", "/confirm-device/send", "/password/forgot", "/account/devices/revoke",
    "/account/payees/end",
}  # fmt: skip


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
    routes = {rule.rule for rule in world.app.url_map.iter_rules()} - UNADVERTISED - PAGES
    assert routes | {"/jwks"} == advertised


@pytest.mark.spec("RFC 8414", "2")
def test_every_advertised_scope_grant_and_method_works(world: World) -> None:
    metadata = world.send("GET", PATHS[0]).json
    assert metadata["grant_types_supported"] == ["client_credentials", "authorization_code", "refresh_token"]
    own = {"openid", "profile", "email", "offline_access"}
    assert own < set(metadata["scopes_supported"])
    for scope in set(metadata["scopes_supported"]) - own:
        assert world.token(scope=scope).status_code == 200, scope
    bank = {"grant_types": CODE, "redirect_uris": [CALLBACK], "scopes": list(SCOPES)}
    register(world, "bank", Signer(), **bank)
    callers = {
        "client_secret_basic": "web1",
        "client_secret_post": "web_post",
        "private_key_jwt": "bank",
        "none": "spa1",
    }
    journey = Journey(world).prepare(clients={"both": ("client_secret_post", CODE), "spa": ("none", CODE)})
    methods = callers | {"client_secret_post": "both", "none": "spa"}
    for method in metadata["token_endpoint_auth_methods_supported"]:
        if method == "client_secret_basic":
            assert world.token("web1", scope="reports").status_code == 200
            continue
        body = journey.tokens(methods[method], scope=" ".join(own))
        assert set(body["scope"].split()) == own
        assert journey.refresh(body["refresh_token"], as_=methods[method]).status_code == 200
        told = journey.userinfo(body["access_token"]).json
        known = {*told, *claims_of(body["id_token"])}
        assert known == set(metadata["claims_supported"])
        assert claims_of(body["id_token"])["acr"] in metadata["acr_values_supported"]
    for method in metadata["revocation_endpoint_auth_methods_supported"]:
        assert world.post("/revoke", as_=callers[method], form={"token": "x"}).status_code == 200
    for method in metadata["introspection_endpoint_auth_methods_supported"]:
        assert world.post("/introspect", as_=callers[method], form={"token": "x"}).status_code == 200
    for endpoint, path in (("token", "/token"), ("introspection", "/introspect"), ("revocation", "/revoke")):
        for alg in metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]:
            signed = f"{endpoint}-{alg}"
            register(world, signed, Signer(alg))
            form = {"grant_type": "client_credentials"} if endpoint == "token" else {"token": "x"}
            assert world.post(path, as_=signed, form=form).status_code == 200
    assert "none" not in metadata["introspection_endpoint_auth_methods_supported"]
    assert world.post("/introspect", as_="spa1", form={"token": "x"}).status_code == 401


def test_a_scope_of_the_server_itself_is_not_issued_to_a_client_without_a_person(world: World) -> None:
    assert "openid" in world.send("GET", PATHS[0]).json["scopes_supported"]
    assert world.token(scope="openid").json["error"] == "invalid_scope"


def test_a_scope_that_nobody_owns_is_not_advertised(world: World) -> None:
    world.services.scopes.describe("orphan", "Belongs to no API")
    world.services.versions.forget()
    assert "orphan" not in world.send("GET", PATHS[0]).json["scopes_supported"]


@pytest.mark.spec("OpenID Connect Discovery 1.0", "3")
def test_what_people_and_id_tokens_get_is_advertised_and_works(world: World) -> None:
    metadata = world.send("GET", PATHS[1]).json
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["subject_types_supported"] == ["public", "pairwise"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    for name in ("request_parameter_supported", "request_uri_parameter_supported"):
        assert metadata[name] is False
    assert metadata["claims_parameter_supported"] is True
    assert metadata["claim_types_supported"] == ["normal"]
    assert not {"display_values_supported", "claims_locales_supported"} & set(metadata)
    journey = Journey(world)
    algs = metadata["id_token_signing_alg_values_supported"]
    assert metadata["userinfo_signing_alg_values_supported"] == algs
    clients = {alg: ("none", ["authorization_code"]) for alg in algs}
    assert {"RS256", "ES256"} <= set(clients)
    journey.prepare(clients=clients)
    for alg in clients:
        world.services.rotation.ensure(alg)
        with world.services.clients._changing(alg) as connection:
            row = table_of(Client)
            values = {"id_token_alg": alg, "userinfo_alg": alg}
            connection.execute(update(row).where(row.c.client_id == alg).values(values))
        tokens = journey.tokens(alg)
        assert header_of(tokens["id_token"])["alg"] == alg
        assert header_of(journey.userinfo(tokens["access_token"]).text)["alg"] == alg


def test_a_new_scope_is_advertised_at_once(world: World) -> None:
    world.services.scopes.describe("payments:cancel", "Cancel payments", "https://api.example/payments")
    world.services.versions.forget()
    assert "payments:cancel" in world.send("GET", PATHS[0]).json["scopes_supported"]
    world.services.scopes.remove("payments:cancel")
    world.services.versions.forget()
    assert "payments:cancel" not in world.send("GET", PATHS[0]).json["scopes_supported"]


@pytest.mark.spec("OpenID Connect Discovery 1.0", "3")
def test_every_claim_of_a_person_that_is_advertised_can_be_asked_for_alone(world: World) -> None:
    metadata = world.send("GET", PATHS[1]).json
    journey = Journey(world).prepare()
    alone = set(metadata["claims_supported"]) - set(claims_of(journey.tokens(scope="openid")["id_token"]))
    assert alone == {"name", "preferred_username", "email", "email_verified"}
    for claim in alone:
        body = journey.tokens(scope="openid", userinfo_claims=(claim,), id_token_claims=(claim,))
        assert set(journey.userinfo(body["access_token"]).json) == {"sub", claim}
        assert alone & set(claims_of(body["id_token"])) == {claim}


@pytest.mark.spec("RFC 8414", "2")
def test_documentation_and_policies_are_told_where_there_are_some_and_nothing_is_told_empty(
    make_world: Callable[..., World],
) -> None:
    names = ("service_documentation", "op_policy_uri", "op_tos_uri")
    addresses = {name: f"https://docs.example/{name}" for name in names}
    world = make_world(**addresses)
    told = world.send("GET", PATHS[1]).json
    assert addresses.items() <= told.items()
    settings = {"profile": "production", "issuer": "https://auth.example"}
    settings |= dict.fromkeys(names, "")
    services = world.services
    production = services.settings.model_copy(update=settings)
    told = metadata(production, services.server, services.scopes)
    assert "authorization_details_types_supported" not in told
    assert not set(names) & set(told)
    assert [name for name, value in told.items() if value in ("", [])] == []
