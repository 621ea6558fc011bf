"""Opaque access tokens: what a JWT would say, told by the server alone, and nothing else in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from journey import Journey, claims_of, refused
from plugins.app import ACCOUNTS, PAYMENTS, Moving, World
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.db import table_of
from authserver.models.token import ReferenceToken
from authserver.oauth.reference_tokens import PREFIX
from authserver.purge import purge
from authserver.resource_server.errors import InvalidToken, Reason
from authserver.resource_server.jws import Expected, open_signed

rows = table_of(ReferenceToken)


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    """The client ``shop`` gets opaque tokens; ``rival`` JWTs."""
    journey = Journey(world).prepare()
    for client_id in ("shop", "svc1"):
        world.services.clients.set_answers(client_id, "opaque", None)
    world.services.versions.forget()
    return journey


def introspect(journey: Journey, token: str, as_: str = "rs_accounts") -> dict[str, Any]:
    return dict(journey.world.post("/introspect", as_=as_, form={"token": token}).json)


def resting(journey: Journey) -> list[Any]:
    with journey.world.services.database.reading() as connection:
        return list(connection.execute(select(rows)).mappings())


def unknown(response: TestResponse) -> bool:
    return refused(response, "invalid_token", 401)


@pytest.mark.spec("RFC 7662", "2.2")
def test_it_is_told_about_as_a_jwt_is(journey: Journey) -> None:
    opaque, plain = journey.tokens("shop"), journey.tokens("rival")
    token = opaque["access_token"]
    assert token.startswith(PREFIX)
    assert len(token) == len(PREFIX) + 43
    assert "." not in token
    assert opaque["expires_in"] == plain["expires_in"]
    told, other = (introspect(journey, tokens["access_token"]) for tokens in (opaque, plain))
    assert told["active"] is True
    assert told.keys() == other.keys()
    differ = {"client_id", "jti", "gid", "iat", "exp"}
    assert {k: v for k, v in told.items() if k not in differ} == {
        k: v for k, v in other.items() if k not in differ
    }
    assert journey.userinfo(token).json["sub"] == journey.user_id
    # OpenID Connect Core §3.1.3.6: at_hash is of whatever the token is
    digest = crypto.sha256(token.encode())[:16]
    assert claims_of(opaque["id_token"])["at_hash"] == crypto.b64u(digest)


def test_what_rests_of_it_is_a_digest(journey: Journey) -> None:
    token = journey.tokens("shop")["access_token"]
    (row,) = resting(journey)
    assert row["digest"] == crypto.digest(token)
    assert token not in str(dict(row))
    assert row["claims"]["client_id"] == "shop"


def test_it_is_for_its_api_alone_and_for_its_scope(journey: Journey) -> None:
    token = journey.tokens("shop", scope="accounts:read")["access_token"]
    assert introspect(journey, token, "rs_payments") == {"active": False}
    told = introspect(journey, token)
    assert (told["aud"], told["scope"]) == (ACCOUNTS, "accounts:read")
    assert refused(journey.userinfo(token), "insufficient_scope", 403)
    own = journey.world.access_token("svc1")
    told = introspect(journey, own, "rs_payments")
    assert (told["aud"], told["sub"], "gid" in told) == (PAYMENTS, "svc1", False)


def test_it_ends_at_its_time_and_leaves_no_row(journey: Journey, moving_clock: Moving) -> None:
    token = journey.tokens("shop")["access_token"]
    moving_clock.walk(299)
    assert introspect(journey, token)["active"] is True
    assert purge(journey.world.services.database)["reference_token"] == 0
    moving_clock.walk(1)
    assert introspect(journey, token) == {"active": False}
    assert unknown(journey.userinfo(token))
    assert purge(journey.world.services.database)["reference_token"] == 1
    assert introspect(journey, token) == {"active": False}
    assert resting(journey) == []


@pytest.mark.spec("RFC 7009", "2.1")
def test_it_is_revoked_by_its_client_and_by_no_other(journey: Journey) -> None:
    token = journey.tokens("shop")["access_token"]
    stolen = journey.world.post("/revoke", as_="rival", form={"token": token})
    assert refused(stolen, "invalid_grant")
    assert introspect(journey, token)["active"] is True
    assert journey.world.post("/revoke", as_="shop", form={"token": token}).status_code == 200
    assert introspect(journey, token) == {"active": False}
    assert unknown(journey.userinfo(token))
    own = journey.world.access_token("svc1")
    journey.world.post("/revoke", as_="svc1", form={"token": own, "token_type_hint": "refresh_token"})
    assert introspect(journey, own, "rs_payments") == {"active": False}


def test_it_ends_with_its_refresh_token_its_person_and_its_client(journey: Journey) -> None:
    first, second, third = (journey.tokens("shop") for _ in range(3))
    journey.world.post("/revoke", as_="shop", form={"token": first["refresh_token"]})
    assert introspect(journey, first["access_token"]) == {"active": False}
    assert introspect(journey, second["access_token"])["active"] is True
    # a spent refresh token that comes again
    fresh = journey.refresh(second["refresh_token"]).json
    assert introspect(journey, fresh["access_token"])["active"] is True
    journey.refresh(second["refresh_token"])
    for token in (second["access_token"], fresh["access_token"]):
        assert introspect(journey, token) == {"active": False}
    journey.set_user("disabled")
    assert introspect(journey, third["access_token"]) == {"active": False}
    journey.set_user("active")
    assert introspect(journey, third["access_token"])["active"] is True
    journey.world.services.clients.set_state("shop", "suspended")
    journey.world.services.versions.forget()
    assert introspect(journey, third["access_token"]) == {"active": False}


def test_nothing_else_passes_for_one_and_it_passes_for_nothing_else(journey: Journey) -> None:
    body = journey.tokens("shop")
    token, refresh = body["access_token"], body["refresh_token"]
    bare = token.removeprefix(PREFIX)
    code = journey.code("shop")
    for wrong in (
        bare, PREFIX, PREFIX + refresh, PREFIX + code, token + "A", token[:-1], token.swapcase(), refresh,
        token.replace(PREFIX, PREFIX.upper()), f"{PREFIX}{token}", f"{token}.{token}.{token}", f" {token}",
        PREFIX + crypto.b64u(crypto.digest(token)), PREFIX + "x" * 20_000,
    ):  # fmt: skip
        assert introspect(journey, wrong) == {"active": False}, wrong
    # by the digest that a thief of the database has, nobody gets in
    assert unknown(journey.userinfo(PREFIX + resting(journey)[0]["digest"].hex()[:43]))
    for other in (token, bare):
        assert refused(journey.refresh(other))
        assert refused(journey.redeem(other))
    # and none of that cost anybody anything
    assert introspect(journey, token)["active"] is True
    assert journey.refresh(refresh).status_code == 200
    assert journey.redeem(code).status_code == 200


def test_guesses_are_no_findings_about_jwts(journey: Journey) -> None:
    introspect(journey, PREFIX + "x" * 43)
    assert journey.world.events("jwt.rejected") == []
    assert journey.reasons("introspection.denied") == ["token_unknown"]


def test_a_client_that_gets_jwts_again_keeps_what_it_has(journey: Journey) -> None:
    body = journey.tokens("shop")
    journey.world.services.clients.set_answers("shop", "jwt", None)
    journey.world.services.versions.forget()
    fresh = journey.refresh(body["refresh_token"]).json
    assert fresh["access_token"].count(".") == 2
    for token in (body["access_token"], fresh["access_token"]):
        assert introspect(journey, token)["active"] is True


def test_who_validates_offline_refuses_it_plainly(journey: Journey) -> None:
    token = journey.tokens("shop")["access_token"]
    expected = Expected(frozenset({"at+jwt"}), frozenset({"ES256"}), 16_384)
    with pytest.raises(InvalidToken) as error:
        open_signed(token, expected, keys=None)  # type: ignore[arg-type]
    assert error.value.reason is Reason.FORM


def test_a_retry_within_the_grace_gets_one_that_counts(make_world: Callable[..., World]) -> None:
    journey = Journey(make_world(refresh_grace_seconds=60)).prepare()
    journey.world.services.clients.set_answers("shop", "opaque", None)
    journey.world.services.versions.forget()
    token = journey.tokens("shop")["refresh_token"]
    first, again = (journey.refresh(token).json["access_token"] for _ in range(2))
    assert first != again
    for one in (first, again):
        assert introspect(journey, one)["active"] is True
