"""Single claims from request to answers: who reads about them, where they are told, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import Asking, answer, ask, decide, follow, payment, start
from journey import Journey, claims_of
from plugins.app import Moving, World
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import update

from authserver import acr
from authserver.db import table_of
from authserver.models.client import Client

clients = table_of(Client)

NAME = json.dumps({"userinfo": {"name": {"essential": True}}})
EMAIL = json.dumps({"id_token": {"email": None}})


def acr_claim(*values: str, essential: bool = True) -> str:
    return json.dumps({"id_token": {"acr": {"essential": essential, "values": values}}})


def sub_claim(subject: str, member: str = "id_token") -> str:
    return json.dumps({member: {"sub": {"value": subject}}})


def tokens(asking: Asking, response: Any, client_id: str = "shop") -> dict[str, Any]:
    body = asking.redeem(answer(response)["code"], client_id).json
    assert "access_token" in body, body
    return dict(body)


def userinfo(asking: Asking, access_token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {access_token}"}
    return dict(asking.world.send("GET", "/userinfo", headers=headers).json)


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5")
def test_a_single_claim_is_told_once_its_scopes_sentence_was_read(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    sentence = asking.world.services.scopes.all()["profile"].description
    assert sentence not in start(browser, scope="openid").text
    page = start(browser, scope="openid", claims=NAME)
    assert sentence in page.text
    body = tokens(asking, decide(browser, page))
    assert body["scope"] == "openid"
    assert userinfo(asking, body["access_token"]) == {"sub": asking.alice, "name": "Alice"}
    assert {"name", "email"}.isdisjoint(claims_of(body["id_token"]))
    # refreshed, and with another scope, it is the same
    refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "scope": "openid"}
    again = asking.world.post("/token", as_="shop", form=refresh).json
    assert userinfo(asking, again["access_token"])["name"] == "Alice"
    # what was read is remembered, what was not is asked; an ID token tells what was asked for it alone
    told = tokens(asking, start(browser, scope="openid", claims=NAME, prompt="none"))
    assert userinfo(asking, told["access_token"])["name"] == "Alice"
    assert answer(start(browser, scope="openid", claims=EMAIL, prompt="none"))["error"] == "consent_required"
    body = tokens(asking, decide(browser, start(browser, scope="openid", claims=EMAIL)))
    assert claims_of(body["id_token"])["email"] == "alice@example.com"
    assert userinfo(asking, body["access_token"]) == {"sub": asking.alice}


def test_the_sentence_of_a_single_claim_stands_beside_a_payment_too(asking: Asking) -> None:
    browser, scope = asking.browser(logged_in=True), "openid payments:initiate"
    sentence = asking.world.services.scopes.all()["profile"].description
    asked = {"scope": scope, "authorization_details": payment()}
    assert sentence not in start(browser, "pay1", **asked).text
    page = start(browser, "pay1", claims=NAME, **asked)
    assert sentence in page.text
    body = tokens(asking, decide(browser, page), "pay1")
    assert userinfo(asking, body["access_token"])["name"] == "Alice"


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5")
def test_claims_of_scopes_that_a_client_may_not_have_and_unknown_ones_are_ignored(asking: Asking) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    bare = {
        "client_id": "bare", "client_name": "bare", "state": "active", "profile": "oauth21", "tier": "gold",
        "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["authorization_code"],
        "redirect_uris": ["https://client.example/cb"], "scopes": ["openid"],
    }  # fmt: skip
    _, asking.world.secrets["bare"] = services.clients.create(bare)  # type: ignore[assignment]
    asking.world.methods["bare"] = "client_secret_basic"
    services.versions.forget()
    wanted = {"name": {"essential": True}, "email": None, "birthdate": None, "password_hash": None}
    claims = json.dumps({"userinfo": wanted, "id_token": wanted | {"gid": None, "iss": {"value": "evil"}}})
    page = start(browser, "bare", scope="openid", claims=claims)
    for scope in ("profile", "email"):
        assert services.scopes.all()[scope].description not in page.text
    body = tokens(asking, decide(browser, page), "bare")
    assert userinfo(asking, body["access_token"]) == {"sub": asking.alice}
    usual = tokens(asking, start(browser, "bare", scope="openid"), "bare")
    assert set(claims_of(body["id_token"])) == set(claims_of(usual["id_token"]))
    assert set(claims_of(body["access_token"])) == set(claims_of(usual["access_token"]))
    # without openid there is no UserInfo, and nothing to read about
    page = start(browser, scope="accounts:read", claims=NAME)
    assert services.scopes.all()["profile"].description not in page.text


def test_a_claim_is_no_longer_told_once_its_client_has_lost_the_scope(journey: Journey) -> None:
    services = journey.world.services
    asked = {"userinfo_claims": ("name", "email"), "id_token_claims": ("email",)}
    body = journey.tokens(scope="openid offline_access", **asked)
    assert set(journey.userinfo(body["access_token"]).json) == {"sub", "name", "email"}
    assert claims_of(body["id_token"])["email"] == "alice@example.com"
    with services.clients._changing("shop") as connection:
        scopes = ["openid", "profile", "offline_access"]
        connection.execute(update(clients).where(clients.c.client_id == "shop").values(scopes=scopes))
    body = journey.refresh(body["refresh_token"]).json
    assert set(journey.userinfo(body["access_token"]).json) == {"sub", "name"}
    assert "email" not in claims_of(body["id_token"])


def test_a_token_names_single_claims_only_beyond_its_scopes(journey: Journey) -> None:
    asked = {"userinfo_claims": ("name", "email")}
    body = journey.tokens(scope="openid profile offline_access accounts:read", **asked)
    assert claims_of(body["access_token"])["userinfo_claims"] == ["email"]
    told = {"sub", "name", "preferred_username", "email"}
    assert set(journey.userinfo(body["access_token"]).json) == told
    # with less scope what was asked for alone is still told alone
    body = journey.refresh(body["refresh_token"], scope="openid").json
    assert claims_of(body["access_token"])["userinfo_claims"] == ["name", "email"]
    assert set(journey.userinfo(body["access_token"]).json) == {"sub", "name", "email"}
    body = journey.refresh(body["refresh_token"], scope="accounts:read").json
    assert "userinfo_claims" not in claims_of(body["access_token"])
    assert "id_token" not in body


def test_claims_of_the_token_itself_are_never_those_that_were_asked_for(journey: Journey) -> None:
    """Names come from the request: none of them replaces what an ID token says."""
    names = ("sub", "iss", "aud", "exp", "name")
    plain = claims_of(journey.tokens(scope="openid")["id_token"])
    asked = claims_of(journey.tokens(scope="openid", id_token_claims=names)["id_token"])
    fixed = ("sub", "iss", "aud", "sid", "acr", "auth_time")
    assert [asked[name] for name in fixed] == [plain[name] for name in fixed]
    assert asked["name"] == "Alice"


@pytest.fixture
def journey(moving_clock: Moving, world: World) -> Journey:
    return Journey(world).prepare()


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5.1")
@pytest.mark.parametrize("member", ["id_token", "userinfo"])
def test_nobody_but_the_subject_that_was_asked_for_gets_an_answer(asking: Asking, member: str) -> None:
    bob, browser = add_user(asking.world.services, "bob"), asking.browser(logged_in=True)
    right = start(browser, claims=sub_claim(asking.alice, member))
    assert right.request.path == "/consent"
    decide(browser, right)
    page = start(browser, claims=sub_claim(bob, member))
    assert page.request.path == "/login"
    # whoever is there stays there; and one who signs in as somebody else again is told to the client
    id_ = hidden_fields(page.text, "/login")["request"]
    assert follow(browser, browser.get(f"/consent?request={id_}")).request.path == "/login"
    found = answer(follow(browser, browser.log_in(request=id_)))
    assert found["error"] == "login_required"
    silent = answer(start(browser, claims=sub_claim(bob, member), prompt="none"))
    assert silent["error"] == "login_required"
    body = tokens(asking, start(browser, claims=sub_claim(asking.alice, member), prompt="none"))
    assert claims_of(body["id_token"])["sub"] == asking.alice
    assert asking.rows()["codes"] == 2


def test_guessing_subjects_in_silence_tells_nothing_about_who_is_there(asking: Asking) -> None:
    """The client knows many people's subjects, and none of them has allowed it anything."""
    bob, browser = add_user(asking.world.services, "bob"), asking.browser(logged_in=True)
    guesses = [asking.alice, bob, "nobody", asking.alice.swapcase()]
    answers = [answer(start(browser, prompt="none", claims=sub_claim(guess))) for guess in guesses]
    assert answers[0]["error"] == "login_required"
    assert answers[1:] == answers[:1] * 3
    several = json.dumps({"id_token": {"sub": {"values": guesses}}})
    assert answer(start(browser, prompt="none", claims=several)) == answers[0]


def test_a_hint_and_a_subject_must_name_the_same_person(asking: Asking) -> None:
    bob, browser = add_user(asking.world.services, "bob"), asking.browser(logged_in=True)
    body = tokens(asking, decide(browser, start(browser)))
    hint = body["id_token"]
    both = answer(start(browser, id_token_hint=hint, claims=sub_claim(asking.alice), prompt="none"))
    assert "code" in both
    found = answer(ask(browser, id_token_hint=hint, claims=sub_claim(bob)))
    assert found["error"] == "invalid_request"
    assert asking.reasons() == ["claims_subject"]


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5.1.1")
@pytest.mark.spec("OpenID Connect Core Error Code unmet_authentication_requirements 1.0", "2")
def test_an_essential_acr_that_cannot_be_reached_is_told_without_a_page(asking: Asking) -> None:
    for browser in (asking.browser(logged_in=True),):
        for claims in (acr_claim("phr"), acr_claim(acr.MFA, "phr"), acr_claim("x"), acr_claim("PHR")):
            for more in ({}, {"prompt": "none"}, {"prompt": "login"}, {"acr_values": acr.PASSWORD}):
                found = answer(start(browser, claims=claims, **more))
                assert found["error"] == "unmet_authentication_requirements"
                assert found["state"] == "S1"
    assert set(asking.reasons()) == {"acr"}
    assert asking.rows()["codes"] == 0


def reached(asking: Asking, browser: Browser, step: str) -> None:
    """The browser's session is one of a login at ``step``."""
    browser.set_cookie("sid", asking.world.services.sessions.start(asking.alice, acr=step, amr=("pwd",)))


def test_the_acr_that_is_told_is_the_one_reached_or_the_one_demanded_never_a_wish(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    told = []
    for step, changes in (
        (acr.PASSWORD, {"acr_values": "phr urn:authserver:acr:mfa"}),
        (acr.PASSWORD, {"claims": acr_claim("phr", essential=False)}),
        (acr.PASSWORD, {"claims": acr_claim("phr", acr.PASSWORD)}),
        ("phr", {"acr_values": acr.PASSWORD}),
        ("phr", {"claims": acr_claim(acr.PASSWORD)}),
    ):
        reached(asking, browser, step)
        body = tokens(asking, start(browser, **changes))
        assert claims_of(body["access_token"])["acr"] == claims_of(body["id_token"])["acr"]
        told.append(claims_of(body["id_token"])["acr"])
    assert told == [acr.PASSWORD, acr.PASSWORD, acr.PASSWORD, "phr", acr.PASSWORD]


def test_a_session_that_fell_short_logs_in_again(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    reached(asking, browser, "below")
    moving_clock.walk(5)
    page = start(browser, claims=acr_claim(acr.PASSWORD))
    assert page.request.path == "/login"
    assert asking.reasons("login.required") == ["acr"]
    id_ = hidden_fields(page.text, "/login")["request"]
    body = tokens(asking, follow(browser, browser.log_in(request=id_)))
    assert claims_of(body["id_token"])["acr"] == acr.PASSWORD


def test_a_malformed_claims_parameter_is_told_to_the_client_and_nothing_is_kept(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for text in ("{", "[]", '{"userinfo":' + "[" * 900, '{"a":"\x00"}', "\ud83d", '{"userinfo":{"a":1}}'):
        found = answer(ask(browser, claims=text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")))
        assert (found["error"], found["state"]) == ("invalid_request", "S1")
    assert set(asking.reasons()) == {"claims"}
    assert asking.rows()["interactions"] == 0


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
def test_locales_that_could_be_some_are_kept_in_their_order(asking: Asking) -> None:
    services, browser = asking.world.services, asking.browser()
    for text, kept in (
        ("de-CH de en", ("de-CH", "de", "en")),
        ("se", ("se",)),
        ("<b> x-y de_DE d\u0435 zh-Hant-TW  de de", ("zh-Hant-TW", "de")),
        (" ".join(f"a{chr(97 + i)}" for i in range(20)), tuple(f"a{chr(97 + i)}" for i in range(8))),
        ("a" * 3000, ()),
    ):
        response = ask(browser, ui_locales=text)
        found = services.interactions.read(response.location.partition("request=")[2])
        assert found is not None
        assert found.request.ui_locales == kept
