"""openid-client (npm) as a public native client against the running server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fleet import Fleet

from authserver.partners import Policy

from .node import Failed, Script, node_missing
from .person import Person

# a port that the operator has never heard of
CALLBACK = "http://127.0.0.1:49152/cb"
SCOPE = "openid profile email offline_access"


@pytest.fixture
def app(issuer: Fleet) -> Iterator[Script]:
    """The client, which has found the issuer."""
    if reason := node_missing("openid-client"):
        pytest.skip(reason)
    with Script("openid_client.mjs") as script:
        found = script.step("discover", issuer=issuer.server.issuer, client_id="native")
        assert found == {"issuer": issuer.server.issuer, "pkce": True}
        yield script


@pytest.fixture
def alice(issuer: Fleet) -> Iterator[Person]:
    with Person(issuer.server.issuer) as person:
        yield person


def answer_of(app: Script, alice: Person) -> str:
    """The address that the app is called back at, once alice has allowed what it asks."""
    url = app.step("authorize", redirect_uri=CALLBACK, scope=SCOPE)
    answer = alice.allow(url)
    assert answer.startswith(f"{CALLBACK}?")
    return answer


def refused(app: Script, step: str, **given: Any) -> dict[str, str]:
    with pytest.raises(Failed) as failed:
        app.step(step, **given)
    return failed.value.told


def test_a_public_client_completes_the_flow_and_ends_it(issuer: Fleet, app: Script, alice: Person) -> None:
    tokens = app.step("callback", url=answer_of(app, alice))
    assert tokens["claims"]["iss"] == issuer.server.issuer
    assert set(tokens["scope"].split()) == set(SCOPE.split())
    person = app.step("userinfo", access_token=tokens["access_token"])
    assert (person["sub"], person["email"]) == (tokens["claims"]["sub"], "alice@example.com")

    fresh = app.step("refresh", refresh_token=tokens["refresh_token"])
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert app.step("userinfo", access_token=fresh["access_token"])["sub"] == person["sub"]

    app.step("revoke", token=fresh["refresh_token"])
    assert refused(app, "refresh", refresh_token=fresh["refresh_token"])["error"] == "invalid_grant"
    assert (
        refused(app, "userinfo", access_token=fresh["access_token"])["code"]
        == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
    )


def test_a_refresh_token_that_comes_twice_ends_what_came_of_it(app: Script, alice: Person) -> None:
    tokens = app.step("callback", url=answer_of(app, alice))
    fresh = app.step("refresh", refresh_token=tokens["refresh_token"])
    for token in (tokens["refresh_token"], fresh["refresh_token"]):
        assert refused(app, "refresh", refresh_token=token)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("part", "instead"), [("iss", ""), ("iss", "iss=https%3A%2F%2Fevil.example"), ("state", "state=another")]
)
def test_the_client_accepts_no_answer_of_another_issuer_or_request(
    app: Script, alice: Person, part: str, instead: str
) -> None:
    address, _, query = answer_of(app, alice).partition("?")
    parts = query.split("&")
    assert sum(one.startswith(f"{part}=") for one in parts) == 1
    changed = [instead if one.startswith(f"{part}=") else one for one in parts]
    told = refused(app, "callback", url=f"{address}?{'&'.join(filter(None, changed))}")
    assert part in (told["text"] + (told.get("cause") or ""))


def test_that_nobody_is_signed_in_reaches_the_client_as_an_error(app: Script, alice: Person) -> None:
    url = app.step("authorize", redirect_uri=CALLBACK, scope=SCOPE, prompt="none")
    told = refused(app, "callback", url=alice.allow(url))
    assert told["error"] == "login_required"


@pytest.mark.spec("OpenID Connect Registration 1.0", "3")
@pytest.mark.parametrize("method", ["none", "client_secret_post"])
def test_a_client_that_nobody_knew_registers_itself_and_goes_on(
    issuer: Fleet, app: Script, alice: Person, method: str
) -> None:
    policy = Policy(
        partner="A maker of apps",
        scopes=frozenset(SCOPE.split()),
        grant_types=frozenset({"authorization_code", "refresh_token"}),
        auth_methods=frozenset({method}),
        redirect_hosts=frozenset({"localhost"}),
        client_state="active",
    )
    _, token = issuer.services.partners.invite(policy, clients=1, days=1)
    metadata = {
        "redirect_uris": [CALLBACK],
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
        "scope": SCOPE,
    }
    told = app.step("register", issuer=issuer.server.issuer, token=token, metadata=metadata)
    assert ("client_secret" in told) == (method != "none")
    assert {name: told[name] for name in metadata} == metadata | {"scope": " ".join(sorted(SCOPE.split()))}
    tokens = app.step("callback", url=answer_of(app, alice))
    person = app.step("userinfo", access_token=tokens["access_token"])
    assert person["email"] == "alice@example.com"
    fresh = app.step("refresh", refresh_token=tokens["refresh_token"])
    app.step("revoke", token=fresh["refresh_token"])
    # the invitation was for one client
    again = refused(app, "register", issuer=issuer.server.issuer, token=token, metadata=metadata)
    assert again["code"] == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
