"""The client credentials grant, from request to claims."""

from __future__ import annotations

import base64
import json

import pytest
from plugins.app import ACCOUNTS, ISSUER, PAYMENTS, World, basic


def claims_of(token: str) -> dict[str, object]:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def header_of(token: str) -> dict[str, object]:
    return json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))


@pytest.mark.spec("RFC 6749", "4.4")
@pytest.mark.spec("RFC 9068", "2.2")
def test_a_client_gets_a_token_for_the_api_that_owns_its_scope(world: World) -> None:
    response = world.token(scope="payments:initiate payments:read")
    assert response.status_code == 200
    assert response.json["token_type"] == "Bearer"
    assert response.json["expires_in"] == 300
    assert response.json["scope"] == "payments:initiate payments:read"
    assert "refresh_token" not in response.json
    assert response.headers["Cache-Control"] == "no-store"
    claims = claims_of(response.json["access_token"])
    assert claims["iss"] == ISSUER
    assert claims["aud"] == PAYMENTS
    assert claims["sub"] == claims["client_id"] == "svc1"
    assert claims["exp"] == claims["iat"] + 300
    header = header_of(response.json["access_token"])
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "ES256"
    assert header["kid"] in {key["kid"] for key in world.send("GET", "/jwks").json["keys"]}


def test_every_token_has_its_own_jti_and_its_audit_row(world: World) -> None:
    ids = [claims_of(world.access_token())["jti"] for _ in range(3)]
    assert len(set(ids)) == 3
    rows = world.events("token.issued")
    assert [row["detail"]["jti"] for row in rows] == ids
    assert {row["client_id"] for row in rows} == {"svc1"}
    assert {row["client_ip"] for row in rows} == {"192.0.2.10"}


@pytest.mark.spec("RFC 8707", "2")
def test_a_resource_names_the_audience_and_must_fit_the_scopes(world: World) -> None:
    fitting = world.token(scope="accounts:read", resource=ACCOUNTS)
    assert claims_of(fitting.json["access_token"])["aud"] == ACCOUNTS
    for scope, resource in (
        ("accounts:read", PAYMENTS),
        ("accounts:read payments:read", ACCOUNTS),
        ("payments:read", "https://api.example/unknown"),
        ("payments:read", PAYMENTS + "#fragment"),
        ("payments:read", "payments"),
        ("payments:read", "http://[bad"),
    ):
        response = world.token(scope=scope, resource=resource)
        assert (response.status_code, response.json["error"]) == (400, "invalid_target"), (scope, resource)


@pytest.mark.spec("RFC 8707", "2")
def test_scopes_of_two_apis_are_invalid_target(world: World) -> None:
    assert world.token(scope="accounts:read payments:read").json["error"] == "invalid_target"


def test_two_resources_in_one_request_are_invalid_target(world: World) -> None:
    body = (
        f"grant_type=client_credentials&scope=payments:read&resource={PAYMENTS}&resource={ACCOUNTS}".encode()
    )
    response = world.post("/token", as_="svc1", body=body)
    assert (response.status_code, response.json["error"]) == (400, "invalid_target")


@pytest.mark.spec("RFC 6749", "3.3")
def test_without_a_scope_the_client_gets_all_it_has_at_the_one_api(world: World) -> None:
    form = {"grant_type": "client_credentials", "resource": PAYMENTS}
    response = world.post("/token", as_="svc1", form=form)
    assert response.json["scope"] == "payments:initiate payments:read refunds:create reports"
    del form["resource"]
    assert world.post("/token", as_="svc1", form=form).json["error"] == "invalid_target"
    assert world.post("/token", as_="web2", form=form).json["scope"] == "reports"


@pytest.mark.parametrize(
    "scope",
    [
        "unknown",
        "payments:initiate unknown",
        "refunds:create",
        "openid",
        " reports",
        "reports ",
        "a  b",
        'a"b',
        "é",
    ],
)
def test_a_scope_that_is_unknown_foreign_or_malformed_is_refused_not_narrowed(
    world: World, scope: str
) -> None:
    response = world.token(as_="web2", scope=scope)
    assert (response.status_code, response.json["error"]) == (400, "invalid_scope")
    assert world.events("token.issued") == []


def test_grants_that_are_missing_unknown_or_not_the_clients_are_refused(world: World) -> None:
    cases = [
        ("svc1", {}, "invalid_request"),
        ("svc1", {"grant_type": "password"}, "unsupported_grant_type"),
        ("svc1", {"grant_type": "authorization_code"}, "unauthorized_client"),
        ("rs_payments", {"grant_type": "client_credentials"}, "unauthorized_client"),
        ("spa1", {"grant_type": "client_credentials"}, "unauthorized_client"),
    ]
    for client, form, error in cases:
        response = world.post("/token", as_=client, form=form)
        assert (response.status_code, response.json["error"]) == (400, error), (client, form)


@pytest.mark.spec("RFC 6749", "2.3.1")
def test_basic_credentials_are_form_decoded_before_they_are_compared(world: World) -> None:
    encoded = "%73vc1"
    header = basic(encoded, world.secrets["svc1"])
    form = {"grant_type": "client_credentials", "scope": "payments:read"}
    assert world.post("/token", form=form, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("alg", ["EdDSA", "PS256"])
def test_the_algorithm_is_a_setting(make_world, alg: str) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world(access_token_alg=alg)
    world.services.rotation.ensure(alg)
    world.services.versions.forget()
    token = world.access_token()
    assert header_of(token)["alg"] == alg
    answer = world.post("/introspect", as_="rs_payments", form={"token": token})
    assert answer.json["active"] is True
