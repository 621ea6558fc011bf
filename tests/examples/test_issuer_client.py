"""The shop as a client of its issuer: what it sends, and which answers it refuses."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from resource_server.fake_issuer import METADATA, FakeIssuer, Reply, Seen
from resource_server.signing import SigningKey, b64, encode

from examples.payments_api.issuer_client import IssuerClient, Refused, Unreachable
from examples.payments_api.orders import Attempt
from examples.payments_api.settings import ShopSettings

ATTEMPT = Attempt("ORDER1", "state-1", "nonce-1", "v" * 43)
PAYMENT = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "24.30", "currency": "EUR"},
    "creditorName": "Corner Shop",
    "creditorAccount": {"iban": "DE89370400440532013000"},
}
CHOSEN = {"debtorAccount": {"iban": "GB29NWBK60161331926819"}}
ACCESS_TOKEN = "access-token-1"
AT_HASH = b64(hashlib.sha256(ACCESS_TOKEN.encode()).digest()[:16])


class Bank(FakeIssuer):
    """Answers at /token with `response`; `id_token` is signed anew for each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.tell()
        self.replies["/token"] = self.token
        self.response: dict[str, Any] = {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "authorization_details": [PAYMENT | CHOSEN],
        }
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}

    def tell(self, **changes: Any) -> None:
        """Publish metadata."""
        endpoints = {f"{name}_endpoint": f"{self.identifier}/{name}" for name in ("authorization", "token")}
        self.replies[METADATA] = Reply(body=json.dumps(self.metadata(**endpoints | changes)).encode())

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.identifier,
            "sub": "alice",
            "aud": "shop",
            "iat": now,
            "exp": now + 300,
            "nonce": ATTEMPT.nonce,
            "at_hash": AT_HASH,
            **self.claims,
        }
        present = {name: value for name, value in claims.items() if value is not ...}
        return self.key.jwt(present, {"typ": "JWT", **self.header})

    def token(self, _seen: Seen) -> Reply:
        body = {"id_token": self.id_token(), **self.response}
        present = {name: value for name, value in body.items() if value is not ...}
        return Reply(body=json.dumps(present).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture
def bank() -> Iterator[Bank]:
    server = Bank()
    yield server
    server.stop()


@pytest.fixture
def client(bank: Bank) -> IssuerClient:
    callback = "http://127.0.0.1:8001/shop/callback"
    return IssuerClient(ShopSettings(bank.identifier, "shop", "s3cret", callback))


def redeem(client: IssuerClient) -> str:
    return client.redeem("code-1", ATTEMPT, PAYMENT)


@pytest.mark.spec("RFC 7636", "4.2")
@pytest.mark.spec("RFC 9396", "3")
def test_the_browser_takes_the_whole_request_along(client: IssuerClient, bank: Bank) -> None:
    url = urlsplit(client.authorization_url(ATTEMPT, PAYMENT))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{bank.identifier}/authorization"
    sent = dict(parse_qsl(url.query, strict_parsing=True))
    digest = hashlib.sha256(ATTEMPT.code_verifier.encode()).digest()
    assert json.loads(sent.pop("authorization_details")) == [PAYMENT]
    assert sent == {
        "response_type": "code",
        "client_id": "shop",
        "redirect_uri": "http://127.0.0.1:8001/shop/callback",
        "scope": "openid payments:initiate",
        "state": ATTEMPT.state,
        "nonce": ATTEMPT.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert ATTEMPT.code_verifier not in url.query


def test_a_code_is_redeemed_with_the_secret_in_the_header_alone(client: IssuerClient, bank: Bank) -> None:
    assert redeem(client) == ACCESS_TOKEN
    (sent,) = [seen for seen in bank.seen if seen.path == "/token"]
    assert base64.b64decode(sent.headers["authorization"].removeprefix("Basic ")) == b"shop:s3cret"
    assert parse_qs(sent.body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": ["code-1"],
        "redirect_uri": ["http://127.0.0.1:8001/shop/callback"],
        "code_verifier": [ATTEMPT.code_verifier],
    }


NOW = int(time.time())
WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "nonce-2"},
    "no nonce": {"nonce": ...},
    "another issuer": {"iss": "https://other.example"},
    "no issuer": {"iss": ...},
    "another audience": {"aud": "other"},
    "another audience in a list": {"aud": ["other"]},
    "more audiences": {"aud": ["shop", "other"]},
    "more audiences and azp": {"aud": ["shop", "other"], "azp": "shop"},
    "no audience": {"aud": ...},
    "no subject": {"sub": ...},
    "expired": {"iat": NOW - 900, "exp": NOW - 600},
    "no end": {"exp": ...},
    "from the future": {"iat": NOW + 600, "exp": NOW + 900},
    "for another access token": {"at_hash": "x" * 22},
    "for no access token": {"at_hash": ...},
}


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.3.7")
@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_an_id_token_with_wrong_claims_is_refused(client: IssuerClient, bank: Bank, name: str) -> None:
    bank.claims = WRONG_CLAIMS[name]
    with pytest.raises(Refused, match="ID token"):
        redeem(client)


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.3.7")
@pytest.mark.parametrize("alg", ["PS256", "EdDSA"])
def test_an_id_token_of_another_algorithm_is_refused(client: IssuerClient, bank: Bank, alg: str) -> None:
    bank.keys = [SigningKey("key-1", alg)]
    with pytest.raises(Refused, match="ID token"):
        redeem(client)


def test_an_unsigned_id_token_is_refused(client: IssuerClient, bank: Bank) -> None:
    claims = bank.id_token().split(".")[1]
    for header in ({"alg": "none"}, {"alg": "none", "kid": "key-1"}, {"alg": "HS256", "kid": "key-1"}):
        bank.response["id_token"] = f"{encode(header)}.{claims}."
        with pytest.raises(Refused, match="ID token"):
            redeem(client)


def test_an_id_token_of_an_unknown_key_is_refused(client: IssuerClient, bank: Bank) -> None:
    forged = SigningKey("key-1").jwt(
        json.loads(base64.urlsafe_b64decode(bank.id_token().split(".")[1] + "=="))
    )
    for text in (forged, "x.y.z", "", 7, ...):
        bank.response["id_token"] = text
        with pytest.raises(Refused, match="ID token"):
            redeem(client)


def test_a_rotated_key_is_fetched(client: IssuerClient, bank: Bank) -> None:
    redeem(client)
    redeem(client)
    assert bank.hits["/jwks"] == 1
    bank.keys = [SigningKey("key-2")]
    assert redeem(client) == ACCESS_TOKEN
    assert bank.hits["/jwks"] == 2


NOT_ASKED: dict[str, Any] = {
    "nothing": ...,
    "an empty list": [],
    "no list": PAYMENT,
    "no objects": [7],
    "another amount": [PAYMENT | CHOSEN | {"instructedAmount": {"amount": "24.31", "currency": "EUR"}}],
    "one more": [PAYMENT | CHOSEN, PAYMENT],
    "one more member": [PAYMENT | CHOSEN | {"actions": ["initiate"]}],
}


@pytest.mark.spec("RFC 9396", "7")
@pytest.mark.parametrize("name", NOT_ASKED)
def test_another_approval_than_the_one_that_was_asked_for_is_refused(
    client: IssuerClient, bank: Bank, name: str
) -> None:
    bank.response["authorization_details"] = NOT_ASKED[name]
    with pytest.raises(Refused, match="another payment"):
        redeem(client)


@pytest.mark.parametrize("changes", [{"token_type": "DPoP"}, {"token_type": ...}, {"access_token": 7}])
def test_a_token_of_another_kind_is_refused(
    client: IssuerClient, bank: Bank, changes: dict[str, Any]
) -> None:
    bank.response |= changes
    with pytest.raises(Refused, match="bearer token"):
        redeem(client)


def test_a_refusal_of_the_token_endpoint_is_one(client: IssuerClient, bank: Bank) -> None:
    bank.replies["/token"] = Reply(400, b'{"error": "invalid_grant", "error_description": "x"}')
    with pytest.raises(Refused, match="invalid_grant"):
        redeem(client)


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(503, b"{}"), Reply(200, b"<html>"), Reply(200, b"[]"), Reply(302), Reply(429)]
)
def test_what_is_no_answer_is_told_apart_from_a_refusal(
    client: IssuerClient, bank: Bank, reply: Reply
) -> None:
    bank.replies["/token"] = reply
    with pytest.raises(Unreachable):
        redeem(client)


@pytest.mark.spec("RFC 8414", "3.3")
def test_metadata_of_another_issuer_is_not_used(client: IssuerClient, bank: Bank) -> None:
    bank.tell(issuer="https://other.example")
    with pytest.raises(Unreachable):
        redeem(client)
    assert bank.hits["/token"] == 0


def test_metadata_without_an_endpoint_is_no_answer(client: IssuerClient, bank: Bank) -> None:
    bank.tell(authorization_endpoint=None)
    with pytest.raises(Unreachable):
        client.authorization_url(ATTEMPT, PAYMENT)
    bank.replies[METADATA] = Reply(body=b"[]")
    with pytest.raises(Unreachable):
        redeem(client)
