"""Partners register clients, and look after them: RFC 7591, RFC 7592, OpenID Connect Registration."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from assertions import Signer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journey import CALLBACK, Journey, refused
from plugins.app import ISSUER, Moving, World, basic, populate
from registering import CODE, OWN, POLICY, SCOPES, call, invite, manage, register, registered, update
from sqlalchemy import func, select

from authserver import partners
from authserver.clients.registrations import PENDING_DAYS
from authserver.db import table_of
from authserver.models.client import Client, ClientSecret
from authserver.models.partner import ClientRegistration, InitialAccessToken

DAY = 86_400


def count(world: World, model: type) -> int:
    with world.services.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events("registration.rejected")]


# --- registering ------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 7591", "3.2.1")
def test_a_registered_client_is_told_all_that_was_set_and_its_secret_once(world: World) -> None:
    answer = register(world, CODE | {"client_name": "Shop", "scope": "openid accounts:read"})
    assert answer.status_code == 201
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json
    client_id = told["client_id"]
    assert told == {
        "client_id": client_id,
        "client_id_issued_at": told["client_id_issued_at"],
        "client_secret": told["client_secret"],
        "client_secret_expires_at": 0,
        "registration_access_token": told["registration_access_token"],
        "registration_client_uri": f"{ISSUER}/register/{client_id}",
        "client_name": "Shop",
        "application_type": "web",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "accounts:read openid",
        "authorization_details_types": [],
        "id_token_signed_response_alg": "ES256",
        "subject_type": "public",
    }
    read = manage(world, "GET", told)
    assert read.status_code == 200
    secret = {"client_secret", "client_secret_expires_at"}
    assert read.json == {name: value for name, value in told.items() if name not in secret}


def test_a_registered_client_gets_tokens(world: World) -> None:
    told = registered(world, OWN)
    assert world.token(told["client_id"], scope="payments:read").status_code == 200
    told = registered(world, OWN | {"token_endpoint_auth_method": "client_secret_post"})
    assert world.token(told["client_id"], scope="payments:read").status_code == 200


def test_a_registered_client_proves_itself_with_the_keys_and_the_algorithm_it_named(world: World) -> None:
    first, second = Signer("ES256"), Signer("PS256", kid="k2")
    keys = {"keys": [first.public(x5t="dropped"), second.public(), {"kty": "oct-of-the-future"}]}
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    told = registered(world, OWN | method | {"jwks": keys, "token_endpoint_auth_signing_alg": "PS256"})
    assert "client_secret" not in told
    assert told["token_endpoint_auth_signing_alg"] == "PS256"
    assert told["jwks"]["keys"][0] == first.public(alg="ES256")
    assert [key["kid"] for key in told["jwks"]["keys"]] == ["k1", "k2"]
    client_id = told["client_id"]
    world.methods[client_id] = "private_key_jwt"
    for signer, status in ((second, 200), (first, 401)):
        world.assertions[client_id] = lambda signer=signer: signer.assertion(world, client_id)
        assert world.token(client_id, scope="payments:read").status_code == status
    assert world.events("client.auth.failed")[-1]["reason"] == "kid"


def test_what_is_not_named_has_the_defaults_of_the_specifications_and_the_policy(world: World) -> None:
    told = registered(world)
    assert told["client_name"] == "Corner shop"
    assert told["token_endpoint_auth_method"] == "client_secret_basic"
    assert (told["grant_types"], told["response_types"]) == (["authorization_code"], ["code"])
    assert set(told["scope"].split()) == SCOPES
    assert told["id_token_signed_response_alg"] == "ES256"
    client = world.services.clients.get(told["client_id"])
    assert client is not None
    assert client.require_pkce
    assert (client.tier, client.profile, client.networks) == ("gold", "oauth21", ())
    assert registered(world, OWN)["response_types"] == []


def test_everything_that_the_server_can_do_is_told_and_the_rest_is_left_out(world: World) -> None:
    known = {
        "client_name": "Ünïcode Shop",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/cb", "com.example.app:/cb", "https://rp.example:8443/cb?a=b"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "authorization_details_types": ["payment_initiation"],
        "id_token_signed_response_alg": "EdDSA",
        "subject_type": "public",
        "userinfo_signed_response_alg": "RS256",
        "initiate_login_uri": "https://rp.example/login?shop=1",
        "default_max_age": 600,
        "require_auth_time": True,
        "default_acr_values": ["phr", "urn:authserver:acr:mfa"],
        "contacts": ["ops@rp.example"],
        "client_uri": "https://rp.example/",
        "logo_uri": "https://rp.example/logo.png",
        "policy_uri": "https://rp.example/policy",
        "tos_uri": "https://rp.example/tos",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.1",
        "scope": "openid",
    }
    idle = {"frontchannel_logout_uri": "https://rp.example/l"}
    strange = {"x_colour": {"deep": [1]}, "client_name#de": "Laden", "require_signed_request_object": False}
    told = registered(world, known | idle | strange)
    assert {name: told[name] for name in known} == known
    assert not {*idle, *strange, "client_secret"} & set(told)
    assert world.services.clients.get(told["client_id"]).default_max_age == 600
    # null is a member that is left out
    assert "contacts" not in registered(world, CODE | {"contacts": None})


def test_a_client_waits_for_approval_unless_the_policy_says_otherwise(world: World) -> None:
    told = registered(world, OWN, client_state="pending")
    assert refused(world.token(told["client_id"], scope="payments:read"), "invalid_client", 401)
    assert manage(world, "GET", told).status_code == 200
    world.services.clients.set_state(told["client_id"], "active")
    world.services.versions.forget()
    assert world.token(told["client_id"], scope="payments:read").status_code == 200


def test_the_networks_of_the_policy_are_those_of_its_clients_and_no_update_changes_them(world: World) -> None:
    told = registered(world, OWN, networks=("203.0.113.0/24",))
    assert refused(world.token(told["client_id"], scope="payments:read"), "access_denied", 403)
    document = OWN | {"client_id": told["client_id"]}
    wider = document | {"networks": ["0.0.0.0/0"], "state": "active", "tier": "x"}
    assert manage(world, "PUT", told, wider, address="203.0.113.9").status_code == 200
    assert refused(world.token(told["client_id"], scope="payments:read"), "access_denied", 403)
    # nor is it looked after from elsewhere, whoever has its token
    for method in ("GET", "PUT", "DELETE"):
        assert refused(manage(world, method, told, document), "access_denied", 403)
    assert manage(world, "GET", told, address="203.0.113.9").status_code == 200


def test_the_first_client_with_an_algorithm_makes_its_key_and_the_next_does_not(world: World) -> None:
    for _ in range(2):
        assert registered(world, CODE | {"id_token_signed_response_alg": "EdDSA"})
        assert sum(key.alg == "EdDSA" for key in world.services.keys.published()) == 2


def test_nothing_that_is_secret_rests_as_it_is(world: World) -> None:
    token = invite(world)
    told = registered(world, CODE, token=token)
    rows = []
    with world.services.database.reading() as connection:
        for model in (Client, ClientSecret, ClientRegistration, InitialAccessToken):
            rows += [repr(tuple(row)) for row in connection.execute(select(table_of(model)))]
    told_of = json.dumps(world.events())
    for secret in (token, told["registration_access_token"], told["client_secret"]):
        assert secret not in "".join(rows) + told_of


def test_a_default_max_age_holds_where_a_request_has_none(world: World) -> None:
    from authserver.oauth.authorization_parameters import parse
    from authserver.oauth.authorization_request import Draft
    from authserver.oauth.request import HTTPRequest

    told = registered(world, CODE | {"default_max_age": 77, "scope": "openid"})
    for more, expected in (("", 77), ("&max_age=5", 5)):
        query = (
            f"response_type=code&client_id={told['client_id']}&scope=openid&redirect_uri={CALLBACK}"
            f"&code_challenge={'c' * 43}&code_challenge_method=S256{more}"
        )
        asked = HTTPRequest("authorize", "GET", {}, query, b"", "192.0.2.1")
        request = world.services.authorization_endpoint.judge(Draft("authorize", parse(asked)))
        assert request.max_age == expected


# --- who may register -------------------------------------------------------------------------------


@pytest.mark.spec("RFC 7591", "3")
def test_every_token_that_is_not_good_gets_the_same_answer(world: World, moving_clock: Moving) -> None:
    once = invite(world, clients=1)
    told = registered(world, token=once)
    expired = invite(world, days=1)
    moving_clock.walk(DAY + 1)
    token_id, revoked = world.services.partners.invite(POLICY, 1, 1)
    world.services.partners.revoke(token_id)
    clients = count(world, Client)
    seen = set()
    for token in (
        None, "", "wrong", "a b", "x" * 43, once, expired, revoked, told["registration_access_token"],
    ):  # fmt: skip
        answer = call(world, "POST", "/register", token, CODE)
        assert refused(answer, "invalid_token", 401), (token, answer.data)
        seen.add((answer.data, answer.headers["WWW-Authenticate"]))
    assert seen == {(answer.data, 'Bearer realm="authserver", error="invalid_token"')}
    assert count(world, Client) == clients
    assert reasons(world) == ["initial_access_token"] * 9


def test_an_access_token_of_a_person_or_a_token_in_another_place_registers_nothing(world: World) -> None:
    journey, token = Journey(world).prepare(), invite(world)
    access = journey.tokens()["access_token"]
    assert refused(call(world, "POST", "/register", access, CODE), "invalid_token", 401)
    query = call(world, "POST", "/register", None, CODE, query=f"access_token={token}")
    assert refused(query, "invalid_request")
    inside = call(world, "POST", "/register", None, CODE | {"access_token": token})
    assert refused(inside, "invalid_token", 401)


def test_twenty_at_once_with_a_token_for_one_client_make_one_client(world: World) -> None:
    token, before = invite(world, clients=1), count(world, Client)
    barrier = threading.Barrier(20)

    def one(_: int) -> int:
        barrier.wait()
        return call(world, "POST", "/register", token, CODE).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(one, range(20)))
    # whoever finds the hashing queue full is told to come again
    assert statuses.count(201) == 1, statuses
    assert set(statuses) <= {201, 401, 503}, statuses
    assert count(world, Client) == before + 1
    assert [i.clients_left for i in world.services.partners.all()] == [0]


def test_a_refused_registration_costs_the_token_nothing(world: World) -> None:
    token = invite(world, clients=1)
    assert refused(register(world, CODE | {"scope": "admin"}, token=token), "invalid_client_metadata")
    assert register(world, token=token).status_code == 201
    assert refused(register(world, token=token), "invalid_token", 401)


def test_what_does_not_commit_does_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token, before = invite(world, clients=1), count(world, Client)

    def fail(*_: object) -> None:
        raise RuntimeError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(world.services.registrations, "_record", fail)
        assert register(world, token=token).status_code == 500
    assert count(world, Client) == before
    assert register(world, token=token).status_code == 201


def test_requests_are_limited_by_address_and_by_token(make_world: Callable[..., World]) -> None:
    world = make_world(limit_register="3/60")
    token = invite(world)
    send = [call(world, "POST", "/register", token, CODE, address=f"198.51.100.{n}") for n in range(5)]
    assert [answer.status_code for answer in send] == [201, 201, 201, 429, 429]
    assert send[-1].headers["Retry-After"] == "60"
    same = [call(world, "GET", f"/register/{'0' * 32}", "x") for _ in range(4)]
    assert [answer.status_code for answer in same] == [401, 401, 401, 429]
    assert {row["reason"] for row in world.events("ratelimit.hit")} == {"register"}


# --- what is refused --------------------------------------------------------------------------------

URI = "invalid_redirect_uri"
META = "invalid_client_metadata"
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"redirect_uris": ["https://other.example/cb"]}, URI, "redirect_uri"),
    ({"redirect_uris": ["https://sub.rp.example/cb"]}, URI, "redirect_uri"),
    ({"redirect_uris": ["https://rp.example.evil.example/cb"]}, URI, "redirect_uri"),
    ({"redirect_uris": ["https://rp.example./cb"]}, URI, "redirect_uri"),
    ({"redirect_uris": [CALLBACK, "https://rp.example/*"]}, URI, "redirect_uri"),
    ({"redirect_uris": ["com.example.app:/cb"]}, URI, "redirect_uri"),
    ({"redirect_uris": ["com.evil.app:/cb"], "application_type": "native"}, URI, "redirect_uri"),
    ({"redirect_uris": {"a": 1}}, URI, "redirect_uri"),
    ({"grant_types": ["refresh_token"]}, META, "grant_types"),
    ({"grant_types": []}, META, "grant_types"),
    ({"grant_types": ["authorization_code", 1]}, META, "grant_types"),
    ({"response_types": []}, META, "grant_types"),
    ({"response_types": ["code", "code"]}, META, "grant_types"),
    ({"token_endpoint_auth_method": "tls_client_auth"}, META, "grant_types"),
    ({"scope": ["openid"]}, META, "scope"),
    ({"scope": "openid reports"}, META, "scope"),
    ({"scope": "openid nosuch"}, META, "scope"),
    ({"contacts": "a@rp.example"}, META, "contacts"),
    ({"contacts": [f"a{n}@rp.example" for n in range(11)]}, META, "contacts"),
    ({"contacts": ["Ops <ops@rp.example>"]}, META, "contacts"),
    ({"client_name": "x" * 101}, META, "client_name"),
    ({"client_name": "Sh\u202eop"}, META, "client_name"),
    ({"client_name": " "}, META, "client_name"),
    ({"client_name": "\u3164"}, META, "client_name"),
    ({"client_name": "Shop\ufe0f"}, META, "client_name"),
    ({"client_name": 7}, META, "client_name"),
    ({"client_uri": "https://10.0.0.1/"}, META, "uri_blocked"),
    ({"client_uri": "https://rp.example/" + "a" * 3000}, META, "uri_blocked"),
    ({"client_uri": ["https://rp.example/"]}, META, "uri_blocked"),
    ({"policy_uri": "//rp.example/"}, META, "uri_scheme"),
    ({"jwks_uri": "https://rp.example:25/"}, META, "uri_blocked"),
    ({"jwks_uri": "https://rp.example/k", "jwks": {"keys": []}}, META, "jwks"),
    ({"jwks": {"keys": []}}, META, "jwks"),
    ({"jwks": "{}"}, META, "jwks"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, META, "jwks"),
    ({"token_endpoint_auth_signing_alg": "ES256"}, META, "auth_signing_alg"),
    ({"id_token_signed_response_alg": "none"}, META, "id_token_alg"),
    ({"id_token_signed_response_alg": ["ES256"]}, META, "id_token_alg"),
    ({"subject_type": "secret"}, META, "subject_type"),
    ({"subject_type": ["public"]}, META, "subject_type"),
    ({"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://rp.example/cb"]}, META, "sector"),
    ({"subject_type": "pairwise", "redirect_uris": ["http://localhost/cb"]}, META, "sector"),
    ({"subject_type": "pairwise", **OWN, "redirect_uris": []}, META, "sector"),
    ({"sector_identifier_uri": "https://strange.example/s"}, META, "sector_identifier_uri"),
    ({"userinfo_signed_response_alg": "none"}, META, "userinfo_alg"),
    ({"userinfo_signed_response_alg": "HS256"}, META, "userinfo_alg"),
    ({"access_token_format": "opaque"}, META, "access_token_format"),
    ({"initiate_login_uri": "https://strange.example/login"}, META, "initiate_login_uri"),
    ({"initiate_login_uri": "https://rp.example/login?target_link_uri=x"}, META, "initiate_login_uri"),
    ({"initiate_login_uri": "https://rp.example/login?a=1&iss"}, META, "initiate_login_uri"),
    ({"initiate_login_uri": "http://rp.example/login"}, META, "uri_scheme"),
    ({"id_token_encrypted_response_alg": "RSA-OAEP-256"}, META, "encryption"),
    ({"userinfo_encrypted_response_enc": "A256GCM"}, META, "encryption"),
    ({"request_object_encryption_alg": "RSA-OAEP-256"}, META, "encryption"),
    ({"introspection_encrypted_response_alg": "dir"}, META, "encryption"),
    ({"authorization_signed_response_alg": "ES256"}, META, "unsupported"),
    ({"request_object_signing_alg": "ES256"}, META, "unsupported"),
    ({"dpop_bound_access_tokens": True}, META, "unsupported"),
    ({"tls_client_certificate_bound_access_tokens": True}, META, "unsupported"),
    ({"require_pushed_authorization_requests": "true"}, META, "unsupported"),
    ({"application_type": "desktop"}, META, "application_type"),
    ({"authorization_details_types": ["account_information"]}, META, "authorization_details_types"),
    ({"default_max_age": -1}, META, "default_max_age"),
    ({"default_max_age": True}, META, "default_max_age"),
    ({"default_max_age": 10**30}, META, "default_max_age"),
    ({"require_auth_time": "yes"}, META, "require_auth_time"),
    ({"default_acr_values": "phr"}, META, "default_acr_values"),
    ({"default_acr_values": ["a b"]}, META, "default_acr_values"),
    ({"default_acr_values": ["\u0430"]}, META, "default_acr_values"),
    ({"default_acr_values": [f"a{i}" for i in range(9)]}, META, "default_acr_values"),
    ({"software_id": "a\nb"}, META, "software"),
    ({"software_version": ""}, META, "software"),
    ({"software_statement": "eyJ.e.s"}, "unapproved_software_statement", "software_statement"),
    ({"x": "\ud800"}, META, "json"),
    ({"x": "a\x00b"}, META, "json"),
    ({"x": [[[[[[[[[1]]]]]]]]]}, META, "json"),
    ({f"x{n}": 1 for n in range(200)}, META, "json"),
]


@pytest.mark.spec("RFC 7591", "3.2.2")
@pytest.mark.spec("OpenID Connect Registration 1.0", "3.3")
def test_metadata_that_are_not_taken_are_refused_for_their_reason(world: World) -> None:
    token, before = invite(world), count(world, Client)
    for document, error, reason in REFUSED:
        known = len(reasons(world))
        answer = register(world, CODE | document, token=token)
        assert refused(answer, error), (document, answer.data)
        assert reasons(world)[known:] == [reason], document
    token_id = world.services.partners.all()[0].token_id
    assert all(row["detail"] == {"token_id": token_id} for row in world.events("registration.rejected"))
    assert count(world, Client) == before


def test_a_private_key_in_the_metadata_is_refused(world: World) -> None:
    signer = Signer()
    leaked = {"keys": [signer.key.as_dict(private=True) | {"kid": "k1"}]}
    method = {"token_endpoint_auth_method": "private_key_jwt", "jwks": leaked}
    assert refused(register(world, CODE | method), META)
    assert reasons(world) == ["jwks"]


@pytest.mark.spec("RFC 7591", "3.1")
def test_the_body_is_one_object_of_json_and_nothing_else(world: World) -> None:
    token, before = invite(world), count(world, Client)
    twice = b'{"redirect_uris": ["https://rp.example/cb"], "scope": "openid", "scope": "openid"}'
    deep = b'{"jwks": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}"
    endless = b"[" * 30_000
    digits = b'{"default_max_age": ' + b"9" * 5000 + b"}"
    for body in (
        b"", b"{", b"[]", b"null", b'"x"', b"1", twice, deep, endless, digits, b'{"a": NaN}', b"\xff{}",
        b'{"a": 1}{"b": 2}', "\ufeff{}".encode(),
    ):  # fmt: skip
        answer = call(world, "POST", "/register", token, body)
        assert refused(answer, META), (body[:60], answer.data)
    for kind in ("", "text/json", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        answer = call(world, "POST", "/register", token, CODE, content_type=kind)
        assert refused(answer, "invalid_request", 415), kind
    large = json.dumps(CODE | {"x": "y" * 40_000}).encode()
    assert refused(call(world, "POST", "/register", token, large), "invalid_request", 413)
    assert count(world, Client) == before
    fine = call(world, "POST", "/register", token, CODE, content_type="Application/JSON; charset=UTF-8")
    assert fine.status_code == 201


def test_every_grant_and_method_is_bounded_by_the_policy(world: World) -> None:
    narrow = {"grant_types": frozenset({"authorization_code"}), "auth_methods": frozenset({"none"})}
    assert refused(register(world, CODE, **narrow), META)
    public = CODE | {"token_endpoint_auth_method": "none"}
    assert register(world, public, **narrow).status_code == 201
    more = public | {"grant_types": ["authorization_code", "refresh_token"]}
    assert refused(register(world, more, **narrow), META)
    assert set(reasons(world)) == {"grant_types"}


def test_a_scope_that_left_the_catalogue_is_not_registered(world: World) -> None:
    token = invite(world)
    world.services.scopes.remove("accounts:read")
    world.services.versions.forget()
    assert "accounts:read" not in registered(world, CODE, token=token)["scope"]
    assert refused(register(world, CODE | {"scope": "accounts:read"}, token=token), META)


# --- looking after it -------------------------------------------------------------------------------


@pytest.mark.spec("RFC 7592", "2.2")
def test_an_update_replaces_everything_and_the_token_stays(world: World) -> None:
    more = {"contacts": ["ops@rp.example"], "default_max_age": 5, "client_name": "Shop"}
    told = registered(world, CODE | more | {"scope": "openid"})
    answer = update(world, told, redirect_uris=["https://rp.example/new"], client_name="New")
    assert answer.status_code == 200
    new = answer.json
    assert new["registration_access_token"] == told["registration_access_token"]
    assert (new["redirect_uris"], new["client_name"]) == (["https://rp.example/new"], "New")
    assert not {"contacts", "default_max_age", "client_secret"} & set(new)
    # what a client did not ask for at first, it does not get by saying nothing
    assert new["scope"] == "openid"
    assert manage(world, "GET", told).json == new
    client = world.services.clients.get(told["client_id"])
    assert client.redirect_uris == ("https://rp.example/new",)
    row = world.events("registration.updated")[-1]
    assert row["detail"]["changed"] == ["client_name", "default_max_age", "redirect_uris"]


@pytest.mark.spec("RFC 7592", "2.2")
def test_an_update_names_its_client_and_nothing_that_the_server_sets(world: World) -> None:
    told, other = registered(world), registered(world)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"client_id": None}, "client_id"),
        ({"client_id": other["client_id"]}, "client_id"),
        ({"client_secret": "wrong"}, "client_secret"),
        ({"client_secret": other["client_secret"]}, "client_secret"),
        ({"client_secret": 1}, "client_secret"),
        ({"registration_access_token": told["registration_access_token"]}, "read_only"),
        ({"registration_client_uri": told["registration_client_uri"]}, "read_only"),
        ({"client_secret_expires_at": 0}, "read_only"),
        ({"client_id_issued_at": told["client_id_issued_at"]}, "read_only"),
    ]
    for members, reason in bad:
        assert refused(update(world, told, **(CODE | {"client_name": "X"} | members)), META), members
        assert reasons(world)[-1] == reason
    assert manage(world, "GET", told).json["client_name"] == "Corner shop"
    assert update(world, told, **CODE, client_secret=told["client_secret"]).status_code == 200


def test_an_update_widens_nothing_beyond_the_policy(world: World) -> None:
    narrow = {"scopes": frozenset({"openid"}), "grant_types": frozenset({"authorization_code"})}
    told = registered(world, CODE, **narrow, auth_methods=frozenset({"client_secret_basic"}))
    for members, error in (
        ({"scope": "openid accounts:read"}, META),
        ({"grant_types": ["authorization_code", "refresh_token"]}, META),
        ({"token_endpoint_auth_method": "none"}, META),
        ({"redirect_uris": ["https://other.example/cb"]}, URI),
        ({"authorization_details_types": ["nosuch"]}, META),
    ):
        assert refused(update(world, told, **(CODE | members)), error), members
    assert {row["client_id"] for row in world.events("registration.rejected")} == {told["client_id"]}
    # also when the invitation's own time is over
    world.services.partners.revoke(world.services.partners.all()[0].token_id)
    assert refused(update(world, told, **(CODE | {"scope": "accounts:read"})), META)
    assert update(world, told, **CODE).status_code == 200


def test_a_change_of_method_makes_or_ends_the_secret(world: World) -> None:
    told, signer = registered(world, OWN), Signer()
    client_id, secret = told["client_id"], told["client_secret"]
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [signer.public()]}}
    assert "client_secret" not in update(world, told, **OWN, **keys).json
    form = {"grant_type": "client_credentials", "scope": "payments:read"}
    header = {"Authorization": basic(client_id, secret)}
    assert world.post("/token", headers=header, form=form).status_code == 401
    back = update(world, told, **OWN).json
    assert back["client_secret"] != secret
    assert back["client_secret_expires_at"] == 0
    assert world.post("/token", headers=header, form=form).status_code == 401
    world.secrets[client_id] = back["client_secret"]
    assert world.token(client_id, scope="payments:read").status_code == 200


def test_an_update_keeps_state_and_tier(world: World) -> None:
    told = registered(world, CODE, client_state="pending")
    assert update(world, told, **CODE, state="active", tier="gold").status_code == 200
    assert world.services.clients.get(told["client_id"]).state == "pending"


@pytest.mark.spec("RFC 7592", "2.1")
def test_a_suspended_client_is_neither_read_nor_changed_nor_deleted_by_its_token(world: World) -> None:
    told = registered(world)
    world.services.clients.set_state(told["client_id"], "suspended")
    for method in ("GET", "PUT", "DELETE"):
        assert refused(manage(world, method, told, CODE), "access_denied", 403), method
    assert set(reasons(world)) == {"client_suspended"}
    world.services.clients.set_state(told["client_id"], "active")
    assert manage(world, "GET", told).status_code == 200


@pytest.mark.spec("RFC 7592", "2")
def test_a_wrong_token_an_unknown_client_and_another_clients_token_get_one_answer(world: World) -> None:
    one, other = registered(world), registered(world)
    gone = registered(world)
    assert manage(world, "DELETE", gone).status_code == 204
    token, invited = other["registration_access_token"], invite(world)
    seen = set()
    for method in ("GET", "PUT", "DELETE"):
        for client_id, sent in (
            (one["client_id"], token), (one["client_id"], "x" * 43), (one["client_id"], None),
            (one["client_id"], invited), ("0" * 32, token), ("web1", token), ("x" * 500, token),
            (gone["client_id"], gone["registration_access_token"]), ("a%00b", token),
            (one["client_id"].upper(), one["registration_access_token"]),
        ):  # fmt: skip
            answer = call(world, method, f"/register/{client_id}", sent, CODE)
            seen.add((answer.status_code, answer.data, answer.headers["WWW-Authenticate"]))
    assert len(seen) == 1, seen
    assert refused(answer, "invalid_token", 401)
    assert set(reasons(world)) == {"registration_access_token"}
    assert manage(world, "GET", one).status_code == 200


@pytest.mark.spec("RFC 7592", "2.3")
def test_a_deleted_client_is_gone_with_all_that_it_was_granted(world: World) -> None:
    grants = {"grant_types": ["authorization_code", "refresh_token", "client_credentials"]}
    told = registered(world, CODE | grants)
    client_id = told["client_id"]
    journey = Journey(world).prepare(clients={})
    tokens, code = journey.tokens(client_id), journey.code(client_id)
    own = world.access_token(client_id, scope="payments:read")
    assert journey.active(tokens["access_token"])
    assert journey.active(own)
    answer = manage(world, "DELETE", told)
    assert (answer.status_code, answer.data) == (204, b"")
    assert not journey.active(tokens["access_token"])
    assert not journey.active(own)
    assert journey.userinfo(tokens["access_token"]).status_code == 401
    assert refused(journey.refresh(tokens["refresh_token"], as_=client_id), "invalid_client", 401)
    assert refused(journey.redeem(code, as_=client_id), "invalid_client", 401)
    assert refused(world.token(client_id, scope="payments:read"), "invalid_client", 401)
    assert refused(manage(world, "GET", told), "invalid_token", 401)
    assert world.services.clients.get(client_id) is None
    assert client_id not in {client.client_id for client in world.services.clients.all()}
    assert world.services.consents.of(journey.user_id) == []
    ended = [row["reason"] for row in world.events("token.family.revoked")]
    assert ended == ["client_deleted", "client_deleted"]
    page = f"/authorize?response_type=code&client_id={client_id}&redirect_uri={CALLBACK}"
    assert world.send("GET", page).status_code == 400


def test_a_deleted_clients_id_is_never_given_again_and_no_operator_brings_it_back(world: World) -> None:
    from authserver.errors import Invalid

    told = registered(world)
    manage(world, "DELETE", told)
    clients = world.services.clients
    client = {
        "client_id": told["client_id"], "client_name": "x", "state": "active", "grant_types": [],
        "token_endpoint_auth_method": "none", "redirect_uris": [], "scopes": [], "profile": "oauth21",
        "tier": "gold",
    }  # fmt: skip
    for attempt in (lambda: clients.create(client), lambda: clients.set_state(told["client_id"], "active")):
        with pytest.raises(Invalid):
            attempt()
    assert clients.get(told["client_id"]) is None


def test_two_deletions_at_once_are_one(world: World) -> None:
    told = registered(world)
    barrier = threading.Barrier(4)

    def one(_: int) -> int:
        barrier.wait()
        return manage(world, "DELETE", told).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [204, 401, 401, 401]
    assert len(world.events("registration.deleted")) == 1


def test_what_was_deleted_meanwhile_is_neither_updated_nor_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, registrations = registered(world), world.services.registrations
    seen = registrations.get(told["client_id"])
    manage(world, "DELETE", told)
    monkeypatch.setattr(registrations, "find", lambda *_: seen)
    assert refused(update(world, told, **CODE), "invalid_token", 401)
    assert refused(manage(world, "DELETE", told), "invalid_token", 401)
    assert registrations.get(told["client_id"]) is None
    assert len(world.events("registration.deleted")) == 1
    assert world.events("registration.updated") == []


def test_a_client_that_an_operator_made_has_no_registration_to_manage(world: World) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = call(world, method, "/register/web1", world.secrets["web1"], CODE)
        assert refused(answer, "invalid_token", 401)


def test_a_client_that_nobody_approves_is_gone_after_a_month(world: World, moving_clock: Moving) -> None:
    waiting, active = registered(world, OWN, client_state="pending"), registered(world, OWN)
    moving_clock.walk(PENDING_DAYS * DAY - 1)
    assert world.services.registrations.expire() == 0
    moving_clock.walk(1)
    assert world.services.registrations.expire() == 1
    assert refused(manage(world, "GET", waiting), "invalid_token", 401)
    assert manage(world, "GET", active).status_code == 200
    row = world.events("registration.deleted")[-1]
    assert (row["actor"], row["reason"]) == ("system", "not_approved")


def test_a_client_that_is_approved_while_the_late_ones_go_stays(
    world: World, moving_clock: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = registered(world, OWN, client_state="pending")
    moving_clock.walk(PENDING_DAYS * DAY)
    rooms = world.services
    read = rooms.registrations.get

    def approved_after(client_id: str) -> Any:
        found = read(client_id)
        rooms.clients.set_state(client_id, "active")
        return found

    with monkeypatch.context() as race:
        race.setattr(rooms.registrations, "get", approved_after)
        assert rooms.registrations.expire() == 0
    assert manage(world, "GET", told).status_code == 200
    assert world.events("registration.deleted") == []


def test_each_step_is_on_record(world: World) -> None:
    told = registered(world)
    manage(world, "GET", told)
    update(world, told, **CODE)
    manage(world, "DELETE", told)
    token_id = world.services.partners.all()[0].token_id
    for name in ("created", "read", "updated", "deleted"):
        (row,) = world.events(f"registration.{name}")
        assert (row["client_id"], row["outcome"]) == (told["client_id"], "succeeded")
        assert row["detail"]["token_id"] == token_id
    (row,) = world.events("partner.invited")
    assert row["detail"]["partner"] == "Corner shop"


# --- hostile JSON -----------------------------------------------------------------------------------

NAMES = st.sampled_from([
    "redirect_uris", "grant_types", "response_types", "scope", "jwks", "jwks_uri", "contacts", "client_name",
    "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "application_type", "logo_uri",
    "id_token_signed_response_alg", "default_max_age", "require_auth_time", "software_id", "client_uri",
    "authorization_details_types", "subject_type", "client_id", "sector_identifier_uri", "software_statement",
    "initiate_login_uri", "userinfo_signed_response_alg", "access_token_format", "dpop_bound_access_tokens",
])  # fmt: skip
WORDS = st.sampled_from([
    "code", "openid", "none", "private_key_jwt", "client_credentials", "https://rp.example/cb", "native",
    "https://[::1", "https://rp.example:99999/", "https://\u0661.example/", "x:", "EdDSA", "public", "\ud800",
    "pairwise",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | NAMES, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.fixed_dictionaries({
    "keys": st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]),
            VALUES | st.sampled_from(["EC", "P-256", "OKP", "Ed25519", "RSA", "AQAB", "A" * 43]),
        ),
        max_size=3,
    )
})  # fmt: skip
DOCUMENTS = st.dictionaries(NAMES, VALUES | WORDS | st.lists(WORDS, max_size=3), max_size=6) | st.builds(
    lambda keys: CODE | {"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}, KEYS
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS | VALUES)
def test_no_document_makes_the_server_fail(fuzzed: tuple[World, str, dict[str, Any]], document: Any) -> None:
    world, token, told = fuzzed
    update = {"client_id": told["client_id"]} | document if isinstance(document, dict) else document
    for answer in (register(world, document, token=token), manage(world, "PUT", told, update)):
        assert answer.status_code in (200, 201, 400, 413), (document, answer.data)
        assert answer.status_code < 300 or answer.json["error"].startswith(("invalid_", "unapproved_"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), authorization=st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_body_and_no_header_makes_the_server_fail(
    fuzzed: tuple[World, str, dict[str, Any]], body: bytes, authorization: str
) -> None:
    world, token, told = fuzzed
    assert call(world, "POST", "/register", token, body).status_code in (201, 400)
    header = {"Authorization": authorization.replace("\n", "").replace("\r", "")}
    for method, path in (("POST", "/register"), ("GET", f"/register/{told['client_id']}")):
        answer = world.send(method, path, headers=header, body=body, content_type="application/json")
        assert refused(answer, "invalid_token", 401)


@pytest.fixture
def fuzzed(world: World) -> tuple[World, str, dict[str, Any]]:
    return world, invite(world, clients=partners.MAX_CLIENTS), registered(world)


def test_production_takes_no_plain_http_and_nothing_of_this_machine(make_app: Callable[..., Any]) -> None:
    world = populate(make_app(outgoing_allow=()))
    for uri in ("http://127.0.0.1/k", "http://localhost/k", "https://localhost/k", "https://127.0.0.1/k"):
        assert refused(register(world, CODE | {"jwks_uri": uri}), META), uri
    assert register(world, CODE | {"jwks_uri": "https://rp.example/k"}).status_code == 201


def test_in_development_keys_may_be_on_this_machine(world: World) -> None:
    for uri in ("http://127.0.0.1:9000/k", "http://localhost:9000/k", "https://localhost/k"):
        assert registered(world, CODE | {"jwks_uri": uri})["jwks_uri"] == uri
    assert refused(register(world, CODE | {"jwks_uri": "http://rp.example/k"}), META)


# --- logout -----------------------------------------------------------------------------------------


@pytest.mark.spec("OpenID Connect RP-Initiated Logout 1.0", "3.1")
@pytest.mark.spec("OpenID Connect Back-Channel Logout 1.0", "2.2")
def test_a_client_registers_where_people_go_and_where_it_hears_of_their_logout(world: World) -> None:
    logout = {
        "post_logout_redirect_uris": [CALLBACK],
        "backchannel_logout_uri": "https://client.example/logout",
        "backchannel_logout_session_required": True,
    }
    told = registered(world, CODE | logout)
    assert {name: told[name] for name in logout} == logout
    client = world.services.clients.get(told["client_id"])
    assert client is not None
    assert client.post_logout_redirect_uris == (CALLBACK,)
    assert client.backchannel_logout_uri == logout["backchannel_logout_uri"]
    for wrong in (
        {"post_logout_redirect_uris": ["https://evil.example/"]},
        {"post_logout_redirect_uris": "https://client.example/"},
        {"backchannel_logout_uri": "https://10.0.0.1/"},
        {"backchannel_logout_uri": 1},
        {"backchannel_logout_session_required": "yes"},
    ):
        answer = register(world, CODE | logout | wrong)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata"), wrong
    changed = update(world, told, **CODE)
    assert changed.status_code == 200
    assert not set(logout) & set(changed.json)


def test_opaque_tokens_that_an_operator_set_outlast_updates(world: World) -> None:
    told = registered(world)
    world.services.clients.set_answers(told["client_id"], "opaque", None)
    document = {"client_id": told["client_id"], "redirect_uris": ["https://rp.example/cb"]}
    for member in ({}, {"access_token_format": "opaque"}):
        answer = manage(world, "PUT", told, document | member)
        assert (answer.status_code, answer.json["access_token_format"]) == (200, "opaque")
