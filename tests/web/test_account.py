"""The account page: what a person allows and where they are signed in, and the end of either."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, answer, decide, payment, start
from plugins.app import Moving
from plugins.people import Browser, add_user, hidden_fields

WITHDRAW = "/account/consents/withdraw"
EVERYWHERE = "/account/sessions/end-all"


def allow(asking: Asking, browser: Browser, client_id: str = "shop", **changes: Any) -> dict[str, Any]:
    """The token response of a client that the person in ``browser`` allows what it asks for."""
    code = answer(decide(browser, start(browser, client_id, **changes)))["code"]
    return dict(asking.redeem(code, client_id).json)


def active(asking: Asking, body: dict[str, Any]) -> bool:
    form = {"token": body["access_token"]}
    return bool(asking.world.post("/introspect", as_="rs_accounts", form=form).json["active"])


def refresh(asking: Asking, body: dict[str, Any], client_id: str = "shop") -> int:
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    return asking.world.post("/token", as_=client_id, form=form).status_code


def test_a_person_sees_what_they_allow_and_withdraws_it(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    assert "Nothing yet" in browser.get("/account").text
    body = allow(asking, browser, scope="openid accounts:read offline_access")
    other = allow(asking, browser, "pay1")
    page = browser.get("/account")
    for part in ("Corner shop", "Merchant A", "The scope accounts:read", "Stay connected while you are away"):
        assert part in page.text, part
    assert page.text.count('<time datetime="2026-11-18">18 November 2026</time>') == 4
    fields = hidden_fields(page.text, WITHDRAW) | {"client_id": "shop"}
    done = browser.post(WITHDRAW, fields)
    assert (done.status_code, done.location) == (303, "/account?notice=withdrawn")
    page = browser.get(done.location)
    assert "It is withdrawn" in page.text
    assert "Corner shop" not in page.text
    assert "Merchant A" in page.text
    assert not active(asking, body)
    assert refresh(asking, body) == 400
    assert active(asking, other)
    (row,) = asking.events("consent.withdrawn")
    assert (row["client_id"], row["user_id"], row["actor"]) == ("shop", asking.alice, f"user:{asking.alice}")
    assert asking.reasons("token.family.revoked") == ["consent_withdrawn"]
    assert browser.post(WITHDRAW, fields).status_code == 404
    # what begins anew is as old as that
    moving_clock.walk(86_400)
    browser.log_in()
    assert start(browser).request.path == "/consent"
    allow(asking, browser)
    assert '<time datetime="2026-11-19">19 November 2026</time>' in browser.get("/account").text


def test_payments_are_not_listed_as_something_that_goes_on(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    allow(asking, browser, "pay1", scope="openid payments:initiate", authorization_details=payment())
    text = browser.get("/account").text
    assert "Merchant A" in text
    assert "Asks you each time" in text
    assert "payments:initiate" not in text


def test_nobody_withdraws_for_somebody_else(asking: Asking) -> None:
    body = allow(asking, asking.browser(logged_in=True))
    add_user(asking.world.services, "mallory")
    mallory = asking.browser()
    mallory.log_in("mallory")
    allow(asking, mallory, "pay1")
    page = mallory.get("/account")
    assert "Corner shop" not in page.text
    fields = hidden_fields(page.text, WITHDRAW)
    for client_id in ("shop", "", "nobody", "x" * 5000, "' OR 1=1 --"):
        assert mallory.post(WITHDRAW, fields | {"client_id": client_id}).status_code == 404
    assert active(asking, body)
    assert asking.events("consent.withdrawn") == []


@pytest.mark.parametrize("path", [WITHDRAW, EVERYWHERE, "/account/sessions/end"])
def test_a_link_or_another_site_ends_nothing(asking: Asking, path: str) -> None:
    browser = asking.browser(logged_in=True)
    body = allow(asking, browser)
    fields = hidden_fields(browser.get("/account").text, WITHDRAW)
    assert browser.get(f"{path}?client_id=shop").status_code == 405
    assert browser.post(path, {"client_id": "shop"}).status_code == 403
    assert browser.post(path, fields | {"csrf": "x" * 43}).status_code == 403
    assert browser.post(path, fields, Origin="https://evil.example").status_code == 403
    assert browser.get("/account").status_code == 200
    assert active(asking, body)
    # nor does a form of somebody who is signed out
    other = asking.browser()
    other.get("/login")
    assert other.post(path, fields).status_code == 403


@pytest.mark.parametrize("round_", range(5))
def test_a_code_for_a_consent_that_is_withdrawn_at_that_moment_is_worth_nothing(
    asking: Asking, round_: int
) -> None:
    browser = asking.browser(logged_in=True)
    allow(asking, browser)
    fields = hidden_fields(browser.get("/account").text, WITHDRAW) | {"client_id": "shop"}
    tabs = [Browser(asking.app) for _ in range(4)]
    for tab in tabs:
        for name in ("browser", "sid", "csrf"):
            tab.set_cookie(name, browser.cookie(name) or "")
    begin = threading.Barrier(5)
    answers: list[Any] = []

    def ask_again(tab: Browser) -> None:
        begin.wait()
        answers.append(start(tab))

    threads = [threading.Thread(target=ask_again, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    begin.wait()
    assert browser.post(WITHDRAW, fields).status_code == 303
    for thread in threads:
        thread.join(30)
    assert len(answers) == 4
    for response in answers:
        if response.status_code == 303:
            assert asking.redeem(answer(response)["code"]).status_code == 400
        else:
            assert response.request.path == "/consent"


def test_a_name_of_a_client_is_text(asking: Asking, make_app: Callable[..., Any]) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'"
    values = {
        "client_id": "hostile", "client_name": hostile, "state": "active",
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
        "redirect_uris": ["https://client.example/cb"], "scopes": ["openid"], "profile": "oauth21",
        "tier": "gold",
    }  # fmt: skip
    asking.world.services.clients.create(values)
    asking.world.methods["hostile"] = "none"
    browser = asking.browser(logged_in=True)
    allow(asking, browser, "hostile", scope="openid")
    text = browser.get("/account").text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


@pytest.mark.spec("ASVS 5.0", "7.4.3")
def test_signing_out_everywhere_ends_every_session_and_what_hangs_on_them(asking: Asking) -> None:
    add_user(asking.world.services, "bob")
    bob = asking.browser()
    bob.log_in("bob")
    first, second = asking.browser(logged_in=True), asking.browser(logged_in=True)
    online = allow(asking, first)
    offline = allow(asking, second, "pay1", scope="openid accounts:read offline_access")
    page = second.get("/account")
    done = second.submit(page, EVERYWHERE)
    assert (done.status_code, done.location) == (303, "/login?notice=signed_out_everywhere")
    assert "You are signed out everywhere" in second.get(done.location).text
    assert second.cookie("sid") is None
    assert [b.get("/account").location for b in (first, second)] == ["/login"] * 2
    assert bob.get("/account").status_code == 200
    assert not active(asking, online)
    # what was allowed to go on while the person is away goes on
    assert active(asking, offline)
    assert asking.reasons("session.revoked") == ["by_user"] * 2
    assert second.post(EVERYWHERE, hidden_fields(page.text, EVERYWHERE)).status_code == 403


def test_the_page_is_one_persons_own_in_every_cache(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for path in ("/account", "/logout", "/account?notice=withdrawn"):
        headers = browser.get(path).headers
        assert "Cookie" in headers["Vary"], path
        assert headers["Cache-Control"] == "no-store"
    away = asking.browser().get("/account")
    assert (away.status_code, "Cookie" in away.headers["Vary"]) == (303, True)


@pytest.mark.spec("OpenID Connect Core 1.0", "4")
def test_an_application_that_says_where_its_logins_begin_is_opened_from_here(asking: Asking) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    allow(asking, browser)
    allow(asking, browser, "pay1")
    assert ">Open<" not in browser.get("/account").text

    def registers(uri: str | None) -> str:
        with services.clients._changing("shop", {"initiate_login_uri": uri}):
            pass
        return browser.get("/account").text

    issuer = "iss=http%3A%2F%2Flocalhost%3A8000"
    for uri, place in (
        ("https://client.example/login", f"https://client.example/login?{issuer}"),
        ("https://client.example/login?tenant=1", f"https://client.example/login?tenant=1&amp;{issuer}"),
    ):
        text = registers(uri)
        # nothing more: who it is, and where it ends, is for the login itself to say
        assert f'href="{place}"' in text
        assert text.count(">Open<") == 1
    # whatever the caller would like to have appended
    answer = browser.get("/account?target_link_uri=https%3A%2F%2Fevil.example&login_hint=x")
    assert "evil.example" not in answer.text
    services.clients.set_state("shop", "suspended")
    services.versions.forget()
    assert ">Open<" not in browser.get("/account").text
