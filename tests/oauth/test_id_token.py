"""ID tokens: who logged in, when and how, told to one client and signed as it is registered."""

from __future__ import annotations

import hashlib
import warnings

import pytest
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from journey import Journey, claims_of, header_of
from plugins.app import ISSUER, Moving, World
from sqlalchemy import update

from authserver import crypto, jws
from authserver.config import ID_TOKEN_ALGS
from authserver.db import table_of
from authserver.errors import Unavailable
from authserver.models.client import Client
from authserver.oauth.id_token import at_hash


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


def sign_with(journey: Journey, alg: str) -> None:
    """The client ``shop`` is registered for ``alg``."""
    clients = table_of(Client)
    with journey.world.services.clients._changing("shop") as connection:
        connection.execute(update(clients).where(clients.c.client_id == "shop").values(id_token_alg=alg))


@pytest.mark.spec("OpenID Connect Core 1.0", "2")
def test_its_claims_are_those_of_the_login_and_the_request(journey: Journey, moving_clock: Moving) -> None:
    code = journey.code(nonce="n" * 64)
    moving_clock.walk(10)
    body = journey.redeem(code).json
    assert claims_of(body["id_token"]) == {
        "iss": ISSUER,
        "sub": journey.user_id,
        "aud": "shop",
        "iat": int(moving_clock.at),
        "exp": int(moving_clock.at) + 300,
        "auth_time": journey.session.auth_time,
        "nonce": "n" * 64,
        "acr": "urn:authserver:acr:password",
        "amr": ["pwd"],
        "sid": journey.session.sid,
        "at_hash": at_hash(body["access_token"], "ES256"),
    }
    assert journey.session.auth_time == int(moving_clock.at) - 10
    header = header_of(body["id_token"])
    assert (header["typ"], header["alg"]) == ("JWT", "ES256")


def test_without_a_nonce_there_is_none_in_it(journey: Journey) -> None:
    assert "nonce" not in claims_of(journey.tokens(nonce=None)["id_token"])


def test_without_openid_there_is_no_id_token(journey: Journey) -> None:
    assert "id_token" not in journey.tokens(scope="accounts:read")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.3.7")
@pytest.mark.parametrize("alg", ID_TOKEN_ALGS)
def test_a_client_verifies_it_against_the_published_keys(journey: Journey, alg: str) -> None:
    journey.world.services.rotation.ensure(alg)
    sign_with(journey, alg)
    body = journey.tokens()
    keys = KeySet.import_key_set(journey.world.send("GET", "/jwks").json)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deprecated via RFC 9864.*")
        token = jwt.decode(body["id_token"], keys, algorithms=[alg])
    assert token.header["alg"] == alg
    claims = CodeIDToken(
        token.claims,
        token.header,
        {"iss": {"value": ISSUER}, "aud": {"value": "shop"}},
        {"nonce": "N1", "client_id": "shop", "access_token": body["access_token"]},
    )
    claims.validate(now=claims_of(body["id_token"])["iat"])


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.3.6")
def test_at_hash_is_the_left_half_of_the_digest() -> None:
    assert at_hash("token", "ES256") == crypto.b64u(hashlib.sha256(b"token").digest()[:16])
    assert at_hash("token", "RS256") == at_hash("token", "PS256") == at_hash("token", "ES256")
    assert at_hash("token", "EdDSA") == crypto.b64u(hashlib.sha512(b"token").digest()[:32])
    # the example of OpenID Connect Core, appendix A.3
    assert at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


def test_no_access_token_is_ever_signed_or_read_with_rs256(journey: Journey) -> None:
    """RS256 is for ID tokens: one that turns up as an access token is refused by its algorithm."""
    services = journey.world.services
    services.rotation.ensure("RS256")
    services.versions.forget()
    claims = claims_of(journey.tokens()["access_token"])
    forged = services.keys.sign("at+jwt", claims, "RS256")
    with pytest.raises(jws.Rejected, match="alg_not_allowed"):
        services.server.tokens.read(forged)


def test_an_id_token_of_every_algorithm_is_known_when_it_comes_back_as_a_hint(journey: Journey) -> None:
    services = journey.world.services
    services.rotation.ensure("RS256")
    sign_with(journey, "RS256")
    token = journey.tokens()["id_token"]
    assert services.keys.verify(token, ["jwt"], ID_TOKEN_ALGS)["sub"] == journey.user_id
    with pytest.raises(jws.Rejected, match="alg_not_allowed"):
        services.keys.verify(token, ["jwt"])


def test_an_id_token_is_no_access_token(journey: Journey) -> None:
    body = journey.tokens()
    assert not journey.active(body["id_token"])
    with pytest.raises(jws.Rejected, match="typ"):
        journey.world.services.server.tokens.read(body["id_token"])


def test_a_missing_key_spends_no_code(journey: Journey) -> None:
    sign_with(journey, "RS256")
    code = journey.code()
    assert journey.redeem(code).status_code == 503
    with pytest.raises(Unavailable):
        journey.world.services.keys.sign("JWT", {}, "RS256")
    journey.world.services.rotation.ensure("RS256")
    journey.world.services.versions.forget()
    assert header_of(journey.redeem(code).json["id_token"])["alg"] == "RS256"
