"""UserInfo: claims about the person, for tokens that were issued for it, from the header alone."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from journey import Journey, claims_of, header_of
from plugins.app import ISSUER, Moving, World
from werkzeug.test import TestResponse

from authserver import clock


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


def refused(response: TestResponse, status: int, error: str) -> bool:
    """Whether it is this error of RFC 6750, in body and challenge alike."""
    challenge = response.headers["WWW-Authenticate"]
    return (
        (response.status_code, response.json["error"]) == (status, error)
        and challenge.startswith(f'Bearer realm="authserver", error="{error}", ')
        and response.headers["Cache-Control"] == "no-store"
    )


@pytest.mark.spec("OpenID Connect Core 1.0", "5.3")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_tells_what_the_scope_covers(journey: Journey, method: str) -> None:
    response = journey.userinfo(journey.tokens(scope="openid profile email")["access_token"], method)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json == {
        "sub": journey.user_id,
        "name": "Alice",
        "preferred_username": "alice",
        "email": "alice@example.com",
        "email_verified": False,
    }


@pytest.mark.spec("OpenID Connect Core 1.0", "5.4")
def test_openid_alone_tells_the_subject_of_the_id_token_alone(journey: Journey) -> None:
    body = journey.tokens(scope="openid")
    told = journey.userinfo(body["access_token"]).json
    assert told == {"sub": claims_of(body["id_token"])["sub"]}
    told = journey.userinfo(journey.tokens(scope="openid email")["access_token"]).json
    assert set(told) == {"sub", "email", "email_verified"}


def test_a_refreshed_token_works_too_unless_openid_was_left_out(journey: Journey) -> None:
    body = journey.refresh(journey.tokens()["refresh_token"]).json
    assert journey.userinfo(body["access_token"]).status_code == 200
    narrow = journey.refresh(body["refresh_token"], scope="accounts:read").json
    assert refused(journey.userinfo(narrow["access_token"]), 403, "insufficient_scope")


@pytest.mark.spec("RFC 6750", "3.1")
def test_a_token_that_was_not_issued_for_it_is_refused(journey: Journey) -> None:
    without = journey.userinfo(journey.tokens(scope="accounts:read")["access_token"])
    assert refused(without, 403, "insufficient_scope")
    assert 'scope="openid"' in without.headers["WWW-Authenticate"]
    assert refused(journey.userinfo(journey.world.access_token()), 403, "insufficient_scope")
    assert refused(journey.userinfo(journey.tokens()["id_token"]), 401, "invalid_token")
    assert journey.reasons("resource.rejected") == ["scope_or_type"] * 3


def test_a_token_for_an_api_alone_is_refused_whatever_its_scope_says(journey: Journey) -> None:
    services = journey.world.services
    claims = claims_of(journey.tokens()["access_token"])
    assert ISSUER in claims["aud"]
    foreign = services.keys.sign("at+jwt", claims | {"aud": claims["aud"][0]}, "ES256")
    assert refused(journey.userinfo(foreign), 401, "invalid_token")
    assert journey.reasons("resource.rejected") == ["audience"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "A" * 20_000])
def test_junk_is_refused(journey: Journey, token: str) -> None:
    response = journey.userinfo(token)
    assert response.status_code in (401, 431)
    assert response.json["error"] in ("invalid_token", "invalid_request")


def test_a_refresh_token_is_no_access_token(journey: Journey) -> None:
    assert refused(journey.userinfo(journey.tokens()["refresh_token"]), 401, "invalid_token")


@pytest.mark.spec("RFC 6750", "3")
@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", "Bearer ", "DPoP x"])
def test_without_a_token_the_challenge_names_no_error(journey: Journey, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = journey.world.send("GET", "/userinfo", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="authserver"'


@pytest.mark.spec("RFC 9700", "4.3.2")
def test_a_token_in_url_or_body_is_refused_even_beside_a_good_one(journey: Journey) -> None:
    token = journey.tokens()["access_token"]
    world = journey.world
    assert refused(world.send("GET", "/userinfo", query=f"access_token={token}"), 400, "invalid_request")
    assert refused(journey.userinfo(token, query=f"access_token={token}"), 400, "invalid_request")
    assert refused(world.post("/userinfo", form={"access_token": token}), 400, "invalid_request")
    assert refused(journey.userinfo(token, "POST", form={"access_token": token}), 400, "invalid_request")
    assert journey.reasons("resource.rejected") == ["token_transport"] * 4
    assert journey.userinfo(token, "POST", form={"other": "x"}).status_code == 200


def test_what_has_ended_is_refused(journey: Journey, moving_clock: Moving) -> None:
    services, world = journey.world.services, journey.world
    expired, revoked, ended, disabled, suspended = (journey.tokens() for _ in range(5))
    world.post("/revoke", as_="shop", form={"token": revoked["access_token"]})
    world.post("/revoke", as_="shop", form={"token": ended["refresh_token"]})
    for body in (revoked, ended):
        assert refused(journey.userinfo(body["access_token"]), 401, "invalid_token")
    services.clients.set_state("shop", "suspended")
    assert refused(journey.userinfo(suspended["access_token"]), 401, "invalid_token")
    services.clients.set_state("shop", "active")
    journey.set_user("disabled")
    assert refused(journey.userinfo(disabled["access_token"]), 401, "invalid_token")
    journey.set_user("active")
    moving_clock.walk(301)
    assert refused(journey.userinfo(expired["access_token"]), 401, "invalid_token")
    assert journey.reasons("resource.rejected") == [
        "revoked",
        "revoked",
        "client_disabled",
        "user_disabled",
        "exp",
    ]


def test_its_requests_count_in_the_clients_tier(journey: Journey) -> None:
    response = journey.userinfo(journey.tokens()["access_token"])
    assert response.headers["RateLimit-Policy"] == '"tier";q=12000;w=60'


@pytest.mark.spec("OpenID Connect Core 1.0", "5.3.2")
def test_a_client_that_asked_for_it_gets_a_jwt_that_is_for_it_alone(journey: Journey) -> None:
    world = journey.world
    world.services.rotation.ensure("RS256")
    for client_id, alg in (("shop", "ES256"), ("rival", "RS256")):
        world.services.clients.set_answers(client_id, "jwt", alg)
    world.services.versions.forget()
    for client_id, alg in (("shop", "ES256"), ("rival", "RS256")):
        response = journey.userinfo(journey.tokens(client_id, scope="openid email")["access_token"])
        assert (response.status_code, response.content_type) == (200, "application/jwt")
        assert response.headers["Cache-Control"] == "no-store"
        assert header_of(response.text)["alg"] == alg
        keys = KeySet.import_key_set(world.send("GET", "/jwks").json)
        assert jwt.decode(response.text, keys, algorithms=[alg]).claims == {
            "iss": ISSUER,
            "aud": client_id,
            "iat": clock.now(),
            "sub": journey.user_id,
            "email": "alice@example.com",
            "email_verified": False,
        }
    # a refusal is what it always was
    assert refused(journey.userinfo("x"), 401, "invalid_token")


def test_a_signed_answer_passes_for_no_token(journey: Journey) -> None:
    world = journey.world
    world.services.clients.set_answers("shop", "jwt", "ES256")
    world.services.versions.forget()
    answer = journey.userinfo(journey.tokens(scope="openid")["access_token"]).text
    assert refused(journey.userinfo(answer), 401, "invalid_token")
    assert world.post("/introspect", as_="rs_accounts", form={"token": answer}).json == {"active": False}
    assert world.send("GET", "/end_session", query=f"id_token_hint={answer}").status_code == 400
    # whoever takes it for an ID token finds no exp, no nonce and no sid (OpenID Connect Core §2)
    assert not {"exp", "nonce", "sid", "auth_time"} & set(claims_of(answer))
