"""openid-client (npm) registers itself and is a confidential client of private_key_jwt from then on, to the
logout of its person, which it hears of at its own web server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fleet import Fleet
from plugins.app import ACCOUNTS

from authserver import crypto
from authserver.partners import Policy
from authserver.resource_server import IntrospectionValidator, InvalidToken, Validator
from authserver.resource_server.errors import Reason

from .node import Failed, Script, node_missing
from .person import Person

CALLBACK = "https://client.example/cb"
AFTER = "https://client.example/bye"
SCOPE = "openid profile email offline_access accounts:read"
POLICY = Policy(
    partner="A maker of shops",
    scopes=frozenset(SCOPE.split()),
    grant_types=frozenset({"authorization_code", "refresh_token"}),
    auth_methods=frozenset({"private_key_jwt"}),
    redirect_hosts=frozenset({"client.example"}),
    access_token_formats=frozenset({"jwt", "opaque"}),
    client_state="active",
)
METADATA: dict[str, Any] = {
    "client_name": "Shop",
    "redirect_uris": [CALLBACK],
    "post_logout_redirect_uris": [AFTER],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": SCOPE,
}


@pytest.fixture
def shop() -> Iterator[Script]:
    if reason := node_missing("openid-client"):
        pytest.skip(reason)
    with Script("dynamic_client.mjs") as script:
        yield script


@pytest.fixture
def alice(issuer: Fleet) -> Iterator[Person]:
    with Person(issuer.server.issuer) as person:
        yield person


def register(issuer: Fleet, shop: Script, **members: Any) -> dict[str, Any]:
    """The client information of the shop, which hears of logouts."""
    _, token = issuer.services.partners.invite(POLICY, clients=1, days=1)
    metadata = METADATA | {"backchannel_logout_uri": shop.step("listen")} | members
    return dict(shop.step("register", issuer=issuer.server.issuer, token=token, metadata=metadata))


def tokens_of(shop: Script, alice: Person) -> dict[str, Any]:
    url = shop.step("authorize", redirect_uri=CALLBACK, scope=SCOPE)
    return dict(shop.step("callback", url=alice.allow(url)))


def heard(shop: Script) -> dict[str, Any]:
    """The logout token that reaches the shop."""
    deadline = time.monotonic() + 20
    while (claims := shop.step("heard")) is None:
        assert time.monotonic() < deadline, "nobody told the shop"
        time.sleep(0.05)
    return dict(claims)


def asked_by_api(issuer: Fleet, shop: Script, token: str) -> dict[str, Any]:
    """What the accounts API is told, asked by openid-client too."""
    api = {"client_id": "rs_accounts", "secret": issuer.world.secrets["rs_accounts"]}
    return dict(shop.step("introspect", token=token, **{"as": api}))


def validated_by_api(issuer: Fleet, token: str, subject: str) -> None:
    """An API in Python takes it by introspection; offline, if there is something in it to look at."""
    server = issuer.server.issuer
    asking = IntrospectionValidator(
        issuer=server,
        audience=ACCOUNTS,
        client_id="rs_accounts",
        client_secret=issuer.world.secrets["rs_accounts"],
    )
    assert asking.validate(token, scope="accounts:read").subject == subject
    offline = Validator.discover(server, audience=ACCOUNTS)
    if token.startswith("at_"):
        with pytest.raises(InvalidToken) as refused:
            offline.validate(token)
        assert refused.value.reason is Reason.FORM
    else:
        assert offline.validate(token, scope="accounts:read").subject == subject


@pytest.mark.spec("RFC 7523", "2.2")
@pytest.mark.spec("OpenID Connect Back-Channel Logout 1.0", "2.6")
@pytest.mark.parametrize(
    "members",
    [
        {},
        {
            "subject_type": "pairwise",
            "userinfo_signed_response_alg": "ES256",
            "access_token_format": "opaque",
        },
    ],
    ids=["as everybody", "with ids of its own, signed UserInfo and opaque tokens"],
)
def test_a_shop_registers_itself_and_goes_all_the_way_to_the_logout(
    issuer: Fleet, shop: Script, alice: Person, members: dict[str, Any]
) -> None:
    told = register(issuer, shop, **members)
    assert {name: told[name] for name in members} == members
    assert "client_secret" not in told
    assert shop.step("registered") == told

    tokens = tokens_of(shop, alice)
    claims = tokens["claims"]
    user_id = issuer.services.users.find("alice").user_id
    assert (claims["sub"] == user_id) is (told["subject_type"] == "public")
    assert tokens["access_token"].startswith("at_") is ("access_token_format" in members)
    person = shop.step("userinfo", access_token=tokens["access_token"])
    assert (person["sub"], person["email"]) == (claims["sub"], "alice@example.com")

    fresh = shop.step("refresh", refresh_token=tokens["refresh_token"])
    assert fresh["refresh_token"] != tokens["refresh_token"]
    found = asked_by_api(issuer, shop, fresh["access_token"])
    assert (found["active"], found["client_id"], found["sub"]) == (True, told["client_id"], claims["sub"])
    assert ACCOUNTS in found["aud"]
    validated_by_api(issuer, fresh["access_token"], claims["sub"])
    # a client is no API: it is told nothing about its own token
    assert shop.step("introspect", token=fresh["access_token"]) == {"active": False}

    shop.step("revoke", token=fresh["refresh_token"])
    assert asked_by_api(issuer, shop, fresh["access_token"]) == {"active": False}
    with pytest.raises(Failed) as refused:
        shop.step("refresh", refresh_token=fresh["refresh_token"])
    assert refused.value.told["error"] == "invalid_grant"

    state = crypto.random_token()
    url = shop.step(
        "endSession", id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state=state
    )
    assert alice.visit(url) == f"{AFTER}?state={state}"
    logout = heard(shop)
    assert (logout["sub"], logout["sid"]) == (claims["sub"], claims["sid"])
    assert alice.visit(shop.step("authorize", redirect_uri=CALLBACK, scope=SCOPE, prompt="none")).startswith(
        f"{CALLBACK}?error=login_required"
    )
    shop.step("close")
