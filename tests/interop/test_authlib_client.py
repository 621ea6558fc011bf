"""Authlib's own client against the running server, with both ways to send a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from fleet import Fleet
from plugins.app import ACCOUNTS
from plugins.factors import fresh_code, give_app
from plugins.people import add_user

from authserver import crypto

from .conftest import CALLBACK
from .person import Person

METHODS = {"client_secret_basic": "shop-basic", "client_secret_post": "shop-post"}
PAYMENT = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "12.30", "currency": "EUR"},
    "creditorName": "Corner shop",
    "creditorAccount": {"iban": "DE89370400440532013000"},
}


def client_of(issuer: Fleet, method: str, scope: str) -> OAuth2Session:
    client_id = METHODS[method]
    return OAuth2Session(
        client_id,
        issuer.world.secrets[client_id],
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=CALLBACK,
        scope=scope,
        code_challenge_method="S256",
    )


def tokens_for(
    issuer: Fleet, client: OAuth2Session, username: str = "alice", **parameters: Any
) -> dict[str, Any]:
    """What the client gets after the person has allowed it."""
    verifier = crypto.random_token()
    server = issuer.server.issuer
    url, state = client.create_authorization_url(
        f"{server}/authorize", code_verifier=verifier, nonce="N-1", **parameters
    )
    with Person(server, username, code=lambda: code_of(issuer, username)) as person:
        answer = person.allow(url)
    return dict(
        client.fetch_token(
            f"{server}/token", authorization_response=answer, state=state, code_verifier=verifier
        )
    )


def code_of(issuer: Fleet, username: str) -> str:
    """What the person's authenticator app says."""
    user = issuer.services.users.find(username)
    assert user is not None
    return fresh_code(issuer.services, user.user_id)


def introspect(issuer: Fleet, api: str, token: str) -> dict[str, Any]:
    """What a resource server is told, asked with Authlib's client as well."""
    with OAuth2Session(api, issuer.world.secrets[api]) as resource_server:
        answer = resource_server.introspect_token(f"{issuer.server.issuer}/introspect", token=token)
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.parametrize("method", METHODS)
def test_a_client_with_a_secret_gets_refreshes_and_revokes_tokens(issuer: Fleet, method: str) -> None:
    server = issuer.server.issuer
    with client_of(issuer, method, "openid offline_access accounts:read") as client:
        tokens = tokens_for(issuer, client)
        assert tokens["token_type"] == "Bearer"
        told = introspect(issuer, "rs_accounts", tokens["access_token"])
        assert (told["active"], told["client_id"]) == (True, METHODS[method])
        assert ACCOUNTS in told["aud"]
        # the client sends the token by itself
        assert client.get(f"{server}/userinfo").json()["sub"] == told["sub"]

        fresh = dict(client.refresh_token(f"{server}/token"))
        assert fresh["access_token"] != tokens["access_token"]
        assert fresh["refresh_token"] != tokens["refresh_token"]
        assert introspect(issuer, "rs_accounts", fresh["access_token"])["active"] is True

        revoked = client.revoke_token(f"{server}/revoke", fresh["refresh_token"], "refresh_token")
        assert revoked.status_code == 200
        assert introspect(issuer, "rs_accounts", fresh["access_token"]) == {"active": False}
        with pytest.raises(OAuthError) as refused:
            client.refresh_token(f"{server}/token", fresh["refresh_token"])
        assert refused.value.error == "invalid_grant"


def test_a_code_is_worth_nothing_with_another_verifier(issuer: Fleet) -> None:
    server = issuer.server.issuer
    with client_of(issuer, "client_secret_basic", "accounts:read") as client, Person(server) as alice:
        url, state = client.create_authorization_url(f"{server}/authorize", code_verifier="v" * 43)
        answer = alice.allow(url)
        with pytest.raises(OAuthError) as refused:
            client.fetch_token(
                f"{server}/token", authorization_response=answer, state=state, code_verifier="w" * 43
            )
        assert refused.value.error == "invalid_grant"


def test_a_payment_is_told_to_its_api_as_it_was_approved(issuer: Fleet) -> None:
    give_app(issuer.services, add_user(issuer.services, "paula"))
    with client_of(issuer, "client_secret_basic", "payments:initiate") as client:
        tokens = tokens_for(issuer, client, "paula", authorization_details=json.dumps([PAYMENT]))
    (approved,) = tokens["authorization_details"]
    added = {"debtorAccount", "approval"}
    assert {name: value for name, value in approved.items() if name not in added} == PAYMENT
    assert approved["approval"].keys() == {"id", "digest"}
    assert approved["debtorAccount"]["iban"]
    told = introspect(issuer, "rs_payments", tokens["access_token"])
    assert told["authorization_details"] == [approved]
