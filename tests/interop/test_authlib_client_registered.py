"""Authlib's client registers itself with Authlib's session, and goes on with the secret that it was given."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from fleet import Fleet
from plugins.app import ACCOUNTS
from receiver import Receiver, verified

from authserver import crypto
from authserver.partners import Policy

from .person import Person

CALLBACK = "https://client.example/cb"
AFTER = "https://client.example/bye"
SCOPE = "openid profile offline_access accounts:read"
METHODS = ("client_secret_basic", "client_secret_post")
POLICY = Policy(
    partner="A maker of shops",
    scopes=frozenset(SCOPE.split()),
    grant_types=frozenset({"authorization_code", "refresh_token"}),
    auth_methods=frozenset(METHODS),
    redirect_hosts=frozenset({"client.example"}),
    client_state="active",
)


def metadata_of(issuer: Fleet) -> dict[str, Any]:
    """What a client finds out about the server by itself."""
    found = httpx.get(f"{issuer.server.issuer}/.well-known/openid-configuration", timeout=20)
    return dict(found.json())


def register(issuer: Fleet, endpoint: str, **members: Any) -> dict[str, Any]:
    """The client information (RFC 7591 §3.2.1); the initial access token is the session's bearer token."""
    _, token = issuer.services.partners.invite(POLICY, clients=1, days=1)
    given = {
        "client_name": "Shop",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [AFTER],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": SCOPE,
    }
    with OAuth2Session(token={"access_token": token, "token_type": "Bearer"}) as session:
        answer = session.post(endpoint, json=given | members)
        assert answer.status_code == 201, answer.text
        # the invitation was for one client
        assert session.post(endpoint, json=given | members).status_code == 401
    return dict(answer.json())


def managed(told: dict[str, Any], method: str, document: dict[str, Any] | None = None) -> Any:
    """The client's own registration, by its registration access token (RFC 7592)."""
    token = {"access_token": told["registration_access_token"], "token_type": "Bearer"}
    with OAuth2Session(token=token) as session:
        return session.request(method, told["registration_client_uri"], json=document)


def introspect(issuer: Fleet, endpoint: str, token: str) -> dict[str, Any]:
    with OAuth2Session("rs_accounts", issuer.world.secrets["rs_accounts"]) as api:
        return dict(api.introspect_token(endpoint, token=token).json())


@pytest.mark.spec("RFC 7591", "3")
@pytest.mark.parametrize("method", METHODS)
def test_a_shop_registers_itself_and_goes_all_the_way_to_the_logout(issuer: Fleet, method: str) -> None:
    at = metadata_of(issuer)
    with Receiver() as receiver, Person(issuer.server.issuer) as alice:
        told = register(
            issuer,
            at["registration_endpoint"],
            token_endpoint_auth_method=method,
            backchannel_logout_uri=receiver.uri,
        )
        client = OAuth2Session(
            told["client_id"],
            told["client_secret"],
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            redirect_uri=CALLBACK,
            scope=SCOPE,
            code_challenge_method="S256",
        )
        verifier = crypto.random_token()
        url, state = client.create_authorization_url(at["authorization_endpoint"], code_verifier=verifier)
        answer = alice.allow(url)
        tokens = dict(
            client.fetch_token(
                at["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier
            )
        )
        found = introspect(issuer, at["introspection_endpoint"], tokens["access_token"])
        assert (found["active"], found["client_id"]) == (True, told["client_id"])
        assert ACCOUNTS in found["aud"]
        assert client.get(at["userinfo_endpoint"]).json()["sub"] == found["sub"]

        fresh = dict(client.refresh_token(at["token_endpoint"]))
        assert fresh["refresh_token"] != tokens["refresh_token"]
        revoked = client.revoke_token(at["revocation_endpoint"], fresh["refresh_token"], "refresh_token")
        assert revoked.status_code == 200
        assert introspect(issuer, at["introspection_endpoint"], fresh["access_token"]) == {"active": False}
        with pytest.raises(OAuthError) as refused:
            client.refresh_token(at["token_endpoint"], fresh["refresh_token"])
        assert refused.value.error == "invalid_grant"

        query = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "S-1"}
        assert alice.visit(f"{at['end_session_endpoint']}?{urlencode(query)}") == f"{AFTER}?state=S-1"
        deadline = time.monotonic() + 20
        while not receiver.heard:
            assert time.monotonic() < deadline, "nobody told the shop"
            time.sleep(0.05)
        claims = verified(issuer.world, receiver.heard[0].token)
        assert (claims["aud"], claims["sub"]) == (told["client_id"], found["sub"])
        client.close()

    # it looks after its registration, and ends it
    read = managed(told, "GET").json()
    assert read["token_endpoint_auth_method"] == method
    changed = managed(told, "PUT", {"client_id": told["client_id"], "redirect_uris": [CALLBACK + "2"]})
    assert changed.json()["redirect_uris"] == [CALLBACK + "2"]
    assert managed(told, "DELETE").status_code == 204
    assert managed(told, "GET").status_code == 401
