"""The account page: what a person allows and where they are signed in, and the end of either."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from asking import Asking, answer, decide, payment, start
from plugins.app import Moving
from plugins.factors import sign_in
from plugins.people import Browser, add_user, hidden_fields

from authserver.purge import purge

WITHDRAW = "/account/consents/withdraw"
EVERYWHERE = "/account/sessions/end-all"
PAYMENT = "/account/payments/withdraw"
PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}


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
    assert "Nothing yet" in browser.get("/account/consents").text
    body = allow(asking, browser, scope="openid accounts:read offline_access")
    other = allow(asking, browser, "pay1")
    page = browser.get("/account/consents")
    for part in ("Corner shop", "Merchant A", "The scope accounts:read", "Stay connected while you are away"):
        assert part in page.text, part
    assert page.text.count('<time datetime="2026-11-18">18 November 2026</time>') == 2
    assert page.text.count('<time datetime="2026-11-18">18 November 2026, 11:06 UTC</time>') == 2
    fields = hidden_fields(page.text, WITHDRAW) | {"client_id": "shop"}
    done = browser.post(WITHDRAW, fields)
    assert (done.status_code, done.location) == (303, "/account/consents?notice=withdrawn&client=shop")
    page = browser.get(done.location)
    assert "Corner shop may do nothing for you any more without asking again." in page.text
    assert page.text.count("Corner shop") == 1
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
    assert '<time datetime="2026-11-19">19 November 2026</time>' in browser.get("/account/consents").text


def test_payments_are_not_listed_as_something_that_goes_on(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    allow(asking, browser, "pay1", scope="openid payments:initiate", authorization_details=payment())
    text = browser.get("/account/consents").text
    assert "Merchant A" in text
    assert "Asks you each time" in text
    assert "payments:initiate" not in text


def test_nobody_withdraws_for_somebody_else(asking: Asking) -> None:
    body = allow(asking, asking.browser(logged_in=True))
    add_user(asking.world.services, "mallory")
    mallory = asking.browser()
    mallory.log_in("mallory")
    allow(asking, mallory, "pay1")
    page = mallory.get("/account/consents")
    assert "Corner shop" not in page.text
    fields = hidden_fields(page.text, WITHDRAW)
    for client_id in ("shop", "", "nobody", "x" * 5000, "' OR 1=1 --"):
        assert mallory.post(WITHDRAW, fields | {"client_id": client_id}).status_code == 404
    assert active(asking, body)
    assert asking.events("consent.withdrawn") == []


@pytest.mark.parametrize("path", [WITHDRAW, EVERYWHERE, "/account/sessions/end", PAYMENT])
def test_a_link_or_another_site_ends_nothing(asking: Asking, path: str) -> None:
    browser = asking.browser(logged_in=True)
    body = allow(asking, browser)
    fields = hidden_fields(browser.get("/account/consents").text, WITHDRAW)
    assert browser.get(f"{path}?client_id=shop").status_code == 405
    assert browser.post(path, {"client_id": "shop"}).status_code == 403
    assert browser.post(path, fields | {"csrf": "x" * 43}).status_code == 403
    assert browser.post(path, fields, Origin="https://evil.example").status_code == 403
    assert browser.get("/account/consents").status_code == 200
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
    fields = hidden_fields(browser.get("/account/consents").text, WITHDRAW) | {"client_id": "shop"}
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
    text = browser.get("/account/consents").text
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
    page = second.get("/account/sessions")
    done = second.submit(page, EVERYWHERE)
    assert (done.status_code, done.location) == (303, "/login?notice=signed_out_everywhere")
    assert "You are signed out everywhere" in second.get(done.location).text
    assert second.cookie("sid") is None
    assert [b.get("/account").location for b in (first, second)] == ["/login"] * 2
    assert bob.get("/account/consents").status_code == 200
    assert not active(asking, online)
    # what was allowed to go on while the person is away goes on
    assert active(asking, offline)
    assert asking.reasons("session.revoked") == ["by_user"] * 2
    assert second.post(EVERYWHERE, hidden_fields(page.text, EVERYWHERE)).status_code == 403


def test_the_page_is_one_persons_own_in_every_cache(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for path in ("/account", "/logout", "/account/consents?notice=withdrawn"):
        headers = browser.get(path).headers
        assert "Cookie" in headers["Vary"], path
        assert headers["Cache-Control"] == "no-store"
    away = asking.browser().get("/account/consents")
    assert (away.status_code, "Cookie" in away.headers["Vary"]) == (303, True)


def pay(asking: Asking, browser: Browser, **changes: Any) -> str:
    """The code for a payment that the person in ``browser`` approved."""
    return answer(decide(browser, start(browser, "pay1", **(PAYS | changes))))["code"]


def usable(asking: Asking, token: dict[str, Any]) -> bool:
    form = {"token": token["access_token"]}
    return bool(asking.world.post("/introspect", as_="rs_payments", form=form).json["active"])


def test_a_payment_is_listed_with_what_became_of_it(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    assert "None yet. Payments that you approve are listed here" in browser.get("/account/consents").text
    code = pay(asking, browser)
    page = browser.get("/account/consents").text
    for part in (
        "123.50\u00a0EUR", "Merchant A", "DE89 3704 0044 0532 0130 00", "client.example",
        "18 November 2026, 11:06 UTC", "Approved, not yet fetched by the application",
        "Withdraw the payment of 123.50\u00a0EUR to Merchant A",
    ):  # fmt: skip
        assert part in page, part
    assert asking.redeem(code, "pay1").status_code == 200
    page = browser.get("/account/consents").text
    assert "Approved and fetched by the application" in page
    assert PAYMENT in page
    # its token is over: nothing is left to withdraw
    moving_clock.walk(295)
    pay(asking, browser)
    moving_clock.walk(61)
    browser.log_in()
    page = browser.get("/account/consents").text
    assert "Approved and fetched by the application" in page
    assert "Never fetched by the application, and over" in page
    assert PAYMENT not in page


def test_a_payment_that_is_not_made_yet_can_be_withdrawn(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    waiting = pay(asking, browser)
    done = browser.submit(browser.get("/account/consents"), PAYMENT)
    assert (done.status_code, done.location) == (303, "/account/consents?notice=payment_withdrawn")
    page = browser.get(done.location)
    assert "The application can no longer use it." in page.text
    assert "Withdrawn or ended" in page.text
    assert asking.redeem(waiting, "pay1").status_code == 400
    fetched = asking.redeem(pay(asking, browser), "pay1").json
    assert usable(asking, fetched)
    page = browser.get("/account/consents")
    assert browser.submit(page, PAYMENT).status_code == 303
    assert not usable(asking, fetched)
    assert browser.submit(page, PAYMENT).status_code == 404
    assert [row["reason"] for row in asking.events("consent.withdrawn")] == ["payment"] * 2
    assert asking.reasons("token.family.revoked") == ["payment_withdrawn"] * 2


@pytest.mark.spec("ASVS 5.0", "8.2.2")
def test_nobody_withdraws_the_payment_of_somebody_else_nor_a_consent_as_a_payment(asking: Asking) -> None:
    alice = asking.browser(logged_in=True)
    token = asking.redeem(pay(asking, alice), "pay1").json
    gid = hidden_fields(alice.get("/account/consents").text, PAYMENT)["payment"]
    add_user(asking.world.services, "mallory")
    mallory = asking.browser()
    mallory.log_in("mallory")
    pay(asking, mallory)
    page = mallory.get("/account/consents")
    assert gid not in page.text
    fields = hidden_fields(page.text, PAYMENT)
    for other in (gid, "", "x" * 5000, "' OR 1=1 --", "%"):
        assert mallory.post(PAYMENT, fields | {"payment": other}).status_code == 404
    assert usable(asking, token)
    # an authorization of one's own that is no payment is no payment either
    body = allow(asking, mallory, scope="openid accounts:read offline_access")
    gids = [row["detail"]["gid"] for row in asking.events("code.issued")]
    assert mallory.post(PAYMENT, fields | {"payment": gids[-1]}).status_code == 404
    assert active(asking, body)
    assert asking.events("consent.withdrawn") == []


def test_an_application_that_was_only_ever_paid_is_removed_and_named(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    pay(asking, browser)
    page = browser.get("/account/consents")
    assert "Remove Merchant A from this list" in page.text
    assert "Withdraw what Merchant A may do" not in page.text
    done = browser.submit(page, WITHDRAW)
    assert "Merchant A may do nothing for you any more" in browser.get(done.location).text


def test_a_notice_about_a_client_is_told_only_when_it_is_true(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    allow(asking, browser)
    for client in ("shop", "pay1", "nobody", "", "%3Cscript%3E", "x" * 3000):
        text = browser.get(f"/account/consents?notice=withdrawn&client={client}").text
        assert 'role="status"' not in text, client
    assert 'role="status"' not in browser.get("/account/consents?notice=nothing").text


def test_two_applications_of_one_name_are_told_apart_by_where_they_send_people(asking: Asking) -> None:
    values = {
        "client_id": "twin", "client_name": "Corner shop", "state": "active",
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
        "redirect_uris": ["https://corner-shop.evil.example/cb"], "scopes": ["openid"],
        "profile": "oauth21", "tier": "gold",
    }  # fmt: skip
    asking.world.services.clients.create(values)
    browser = asking.browser(logged_in=True)
    place = "https://corner-shop.evil.example/cb"
    page = start(browser, "twin", scope="openid", redirect_uri=place)
    assert "The answer goes to <strong>corner-shop.evil.example</strong>." in page.text
    answer(decide(browser, page), place)
    assert "The answer goes to <strong>client.example</strong>." in start(browser).text
    allow(asking, browser, scope="openid")
    text = browser.get("/account/consents").text
    assert "(corner-shop.evil.example)" in text
    assert "(client.example)" in text
    native = start(browser, "app", scope="openid", redirect_uri="http://127.0.0.1:5555/cb")
    assert "The answer goes to <strong>an app on this device</strong>." in native.text
    private = start(browser, "app", scope="openid", redirect_uri="com.example.app:/cb")
    assert "<strong>the app com.example.app on this device</strong>" in private.text


def test_long_lists_come_in_pages(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    for number in range(12):
        moving_clock.walk(1)
        pay(asking, browser, authorization_details=payment(creditorName=f"Payee {number:02}"))
    first = browser.get("/account/consents").text
    assert [f"Payee {n:02}" in first for n in (11, 2, 1, 0)] == [True, True, False, False]
    assert 'href="/account/consents?payments=2#payments"' in first
    second = browser.get("/account/consents?payments=2&allowed=3").text
    assert [f"Payee {n:02}" in second for n in (2, 1, 0)] == [False, True, True]
    assert 'href="/account/consents?allowed=3#payments"' in second
    assert "payments=3" not in second
    for odd in ("0", "-1", "x", "1e3", "99999", "%D9%A2", "", "1&payments=2", "' OR 1=1"):
        assert "Payee 11" in browser.get(f"/account/consents?payments={odd}").text, odd


def test_a_payment_can_be_looked_up_for_thirteen_months(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    pay(asking, browser)
    allow(asking, browser)
    services = asking.world.services
    moving_clock.walk(396 * 86_400)
    gone = purge(services.database)
    assert (gone["authorization"], gone["payment_evidence"]) == (1, 0)
    sign_in(browser)
    assert "123.50\u00a0EUR" in browser.get("/account/consents").text
    moving_clock.walk(5 * 86_400)
    gone = purge(services.database)
    assert (gone["authorization"], gone["payment_evidence"]) == (1, 1)
    sign_in(browser)
    assert "123.50\u00a0EUR" not in browser.get("/account/consents").text


@pytest.mark.spec("OpenID Connect Core 1.0", "4")
def test_an_application_that_says_where_its_logins_begin_is_opened_from_here(asking: Asking) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    allow(asking, browser)
    allow(asking, browser, "pay1")
    assert ">Open<" not in browser.get("/account/consents").text

    def registers(uri: str | None) -> str:
        with services.clients._changing("shop", {"initiate_login_uri": uri}):
            pass
        return browser.get("/account/consents").text

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
    answer = browser.get("/account/consents?target_link_uri=https%3A%2F%2Fevil.example&login_hint=x")
    assert "evil.example" not in answer.text
    services.clients.set_state("shop", "suspended")
    services.versions.forget()
    assert ">Open<" not in browser.get("/account/consents").text
