"""The demo's shop against the issuer and the payments API: an order is paid at most once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from shopping import CALLBACK, Buyer, Market, heading, words
from sqlalchemy import update
from werkzeug import Response

from authserver.db import table_of
from authserver.models.session import Session
from authserver.resource_server import Authentication
from examples.payments_api.issuer_client import IssuerClient
from examples.payments_api.orders import Orders
from examples.payments_api.payments_client import PaymentsClient
from examples.payments_api.settings import SettingsError, ShopSettings

NOTHING = "Nothing was paid"


@pytest.fixture
def open_market(tmp_path: Path, sqlite_template: Path) -> Iterator[Callable[..., Market]]:
    markets: list[Market] = []

    def make(**values: Any) -> Market:
        markets.append(Market(tmp_path, **values).open(sqlite_template))
        return markets[-1]

    yield make
    for market in markets:
        market.close()


@pytest.fixture
def market(open_market: Callable[..., Market]) -> Market:
    return open_market()


@pytest.fixture
def make_buyer(market: Market) -> Iterator[Callable[..., Buyer]]:
    buyers: list[Buyer] = []

    def make(username: str = "alice") -> Buyer:
        buyers.append(Buyer(market, username))
        return buyers[-1]

    yield make
    for buyer in buyers:
        buyer.close()


@pytest.fixture
def alice(make_buyer: Callable[..., Buyer]) -> Buyer:
    return make_buyer()


def changed(url: str, **parameters: str | None) -> str:
    """A callback's address with other parameters; None drops one."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    query |= parameters  # type: ignore[arg-type]
    given = {name: value for name, value in query.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(given)}"


# The journey, and how it can end.


def test_a_person_pays_and_gets_a_receipt(market: Market, alice: Buyer) -> None:
    asked = alice.checkout()
    assert "24.30" in words(asked)
    assert "Corner Shop" in words(asked)
    callback = alice.client.get(alice.decide(asked))
    order = market.order()
    assert (callback.status_code, callback.headers["Location"]) == (303, f"/shop/orders/{order['id']}")
    receipt = alice.follow(callback)
    assert heading(receipt) == "Receipt"
    (payment,) = market.payments()
    debtor = payment["debtor_iban"]
    assert debtor in [account.iban for account in market.services.accounts.of(payment["subject"])]
    assert (payment["minor"], payment["currency"]) == (2430, "EUR")
    assert (payment["creditor_name"], payment["remittance"]) == ("Corner Shop", f"Order {order['id']}")
    text = words(receipt)
    for shown in ("24.30\N{NO-BREAK SPACE}EUR", "Corner Shop", payment["id"], f"Order {order['id']}", "UTC"):
        assert shown.replace("\N{NO-BREAK SPACE}", " ") in text
    assert f"{debtor[:4]} •••• {debtor[-4:]}" in text
    assert debtor not in receipt.text
    assert (order["state"], order["token"]) == ("paid", None)


def test_whoever_says_no_at_the_bank_has_not_paid_and_may_try_again(market: Market, alice: Buyer) -> None:
    page = alice.get(alice.decide(alice.checkout(), "deny"))
    assert heading(page) == "Payment not made"
    assert f"You cancelled at your bank. {NOTHING}." in words(page)
    assert market.site.hits["/payments"] == market.issuer.hits["/token"] == 0
    first = market.order()["id"]
    again = alice.at_bank(alice.submit(page, f"/shop/orders/{first}/pay"))
    assert heading(alice.get(alice.decide(again))) == "Receipt"
    assert market.order()["id"] == first


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("temporarily_unavailable", "too busy"),
        ("server_error", "too busy"),
        ("invalid_authorization_details", "could not go on"),
        ("<script>alert(1)</script>", "could not go on"),
    ],
)
def test_an_error_of_the_bank_is_told_in_the_shops_own_words(
    market: Market, alice: Buyer, error: str, says: str
) -> None:
    callback = alice.decide(alice.checkout())
    page = alice.get(changed(callback, code=None, error=error, error_description="<b>Call 0900</b>"))
    assert heading(page) == "Payment not made"
    assert says in words(page)
    assert NOTHING in words(page)
    assert "0900" not in page.text
    assert "alert" not in page.text
    assert market.payments() == []


def test_whoever_turns_back_at_the_login_has_not_paid(market: Market, alice: Buyer) -> None:
    login = alice.follow(alice.submit(alice.get("/"), "/shop/checkout"))
    assert heading(login) == "Sign in"
    page = alice.follow(alice.submit(login, "/authorize/cancel"))
    assert heading(page) == "Payment not made"
    assert f"You cancelled at your bank. {NOTHING}." in words(page)


def test_the_page_of_an_order_that_is_at_the_bank_leads_there_again(market: Market, alice: Buyer) -> None:
    alice.checkout()
    page = alice.get(f"/shop/orders/{market.order()['id']}")
    assert heading(page) == "Waiting for your bank"
    assert NOTHING in words(page)
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    assert heading(alice.get(alice.decide(asked))) == "Receipt"


# Whose answer it is.


@pytest.mark.spec("RFC 6749", "10.12")
@pytest.mark.parametrize("state", ["", "x" * 43, None])
def test_an_answer_with_another_state_is_not_looked_at(
    market: Market, alice: Buyer, state: str | None
) -> None:
    callback = alice.decide(alice.checkout())
    page = alice.get(changed(callback, state=state))
    assert (page.status_code, heading(page)) == (400, "This answer is not for this browser")
    assert market.issuer.hits["/token"] == 0
    assert heading(alice.get(callback)) == "Receipt"


def test_an_answer_in_another_browser_pays_nothing_and_leaves_the_order_alone(
    market: Market, alice: Buyer, make_buyer: Callable[..., Buyer]
) -> None:
    callback = alice.decide(alice.checkout())
    bob = make_buyer("bob")
    bob.checkout()
    for stranger in (bob, make_buyer()):
        page = stranger.get(callback)
        assert (page.status_code, heading(page)) == (400, "This answer is not for this browser")
    assert market.issuer.hits["/token"] == 0
    assert heading(alice.get(callback)) == "Receipt"


@pytest.mark.spec("RFC 9207", "2.4")
@pytest.mark.parametrize("issuer", ["https://other.example", "", None])
@pytest.mark.parametrize("error", [None, "access_denied"])
def test_an_answer_of_another_issuer_is_not_used(
    market: Market, alice: Buyer, issuer: str | None, error: str | None
) -> None:
    callback = alice.decide(alice.checkout())
    page = alice.get(changed(callback, iss=issuer, error=error))
    assert (page.status_code, heading(page)) == (400, "This answer is not from your bank")
    assert market.issuer.hits["/token"] == 0
    assert market.order()["state"] == "sent"
    assert heading(alice.get(callback)) == "Receipt"


@pytest.mark.parametrize("name", ["code", "state", "iss"])
def test_an_answer_that_says_something_twice_says_nothing(market: Market, alice: Buyer, name: str) -> None:
    callback = alice.decide(alice.checkout())
    assert alice.get(f"{callback}&{name}=x").status_code == 400
    assert market.issuer.hits["/token"] == 0
    assert heading(alice.get(callback)) == "Receipt"


def test_an_order_is_shown_in_its_own_browser_alone(
    market: Market, alice: Buyer, make_buyer: Callable[..., Buyer]
) -> None:
    alice.get(alice.decide(alice.checkout()))
    path = f"/shop/orders/{market.order()['id']}"
    stranger = make_buyer("bob")
    own = stranger.get("/")
    assert stranger.get(path).status_code == 404
    token = re.search(r'name="form" value="([^"]+)"', own.text)
    assert token
    for button in ("pay", "check"):
        pressed = stranger.client.post(f"{market.site.url}{path}/{button}", data={"form": token[1]})
        assert pressed.status_code == 404


# Once, however often.


def test_a_callback_that_is_loaded_again_shows_the_receipt(market: Market, alice: Buyer) -> None:
    callback = alice.decide(alice.checkout())
    pages = [alice.get(callback) for _ in range(3)]
    assert [heading(page) for page in pages] == ["Receipt"] * 3
    assert market.issuer.hits["/token"] == market.site.hits["/payments"] == len(market.payments()) == 1


def test_a_callback_after_a_refusal_is_not_tried_again(market: Market, alice: Buyer) -> None:
    callback = alice.decide(alice.checkout(), "deny")
    alice.get(callback)
    assert heading(alice.get(changed(callback, error=None, code="x"))) == "Payment not made"
    assert market.issuer.hits["/token"] == 0


def test_a_double_click_and_a_second_tab_are_one_order(market: Market, alice: Buyer) -> None:
    basket = alice.get("/")
    first, second = (alice.submit(basket, "/shop/checkout") for _ in range(2))
    other_tab = alice.submit(alice.get("/"), "/shop/checkout")
    callbacks = [alice.decide(alice.at_bank(sent)) for sent in (first, second, other_tab)]
    assert [heading(alice.get(callback)) for callback in callbacks] == ["Receipt"] * 3
    assert len(market.payments()) == market.issuer.hits["/token"] == 1
    # the basket of a page from before that is paid; a new page has a new basket
    assert heading(alice.follow(alice.submit(basket, "/shop/checkout"))) == "Receipt"
    assert len(market.payments()) == 1
    assert heading(alice.get(alice.decide(alice.checkout()))) == "Receipt"
    assert len(market.payments()) == 2


def test_answers_that_come_at_once_pay_once(market: Market, alice: Buyer) -> None:
    callbacks = [alice.decide(alice.checkout()) for _ in range(3)]
    cookies = dict(alice.client.cookies)

    def open_(url: str) -> int:
        return httpx.get(url, cookies=cookies, timeout=20).status_code

    with ThreadPoolExecutor(9) as pool:
        assert set(pool.map(open_, callbacks * 3)) == {303}
    assert heading(alice.get(f"/shop/orders/{market.order()['id']}")) == "Receipt"
    assert len(market.payments()) == market.issuer.hits["/token"] == 1


@pytest.mark.parametrize("basket", ["0", "2", "-1", "x", "", "1" * 30, "１"])
def test_a_basket_that_was_never_filled_becomes_no_order(market: Market, alice: Buyer, basket: str) -> None:
    page = alice.get("/")
    form = re.search(r'name="form" value="([^"]+)"', page.text)
    assert form
    answer = alice.client.post(f"{market.site.url}/shop/checkout", data={"form": form[1], "basket": basket})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


# What does not answer.


@pytest.mark.parametrize("fault", ["before", "after"])
def test_without_an_answer_of_the_token_endpoint_nothing_is_paid(
    market: Market, alice: Buyer, fault: str
) -> None:
    market.issuer.faults["/token"] = fault
    page = alice.get(alice.decide(alice.checkout()))
    assert heading(page) == "Payment not made"
    assert "could not reach your bank" in words(page)
    market.issuer.faults.clear()
    assert market.payments() == []
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    assert heading(alice.get(alice.decide(asked))) == "Receipt"
    assert len(market.payments()) == 1


def test_a_code_that_the_bank_takes_back_pays_nothing(market: Market, alice: Buyer) -> None:
    callback = alice.decide(alice.checkout())
    page = alice.get(changed(callback, code="x" * 43))
    assert heading(page) == "Payment not made"
    assert NOTHING in words(page)
    assert market.payments() == []


def test_a_bank_that_cannot_be_found_is_told_before_anybody_is_sent_there(
    market: Market, alice: Buyer
) -> None:
    market.issuer.faults["/.well-known/oauth-authorization-server"] = "before"
    page = alice.follow(alice.submit(alice.get("/"), "/shop/checkout"))
    assert heading(page) == "Payment not made"
    assert "could not reach your bank" in words(page)
    market.issuer.faults.clear()
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    assert heading(alice.get(alice.decide(asked))) == "Receipt"


@pytest.mark.parametrize(("fault", "made"), [("before", 0), ("after", 1)])
def test_without_an_answer_of_the_payments_api_the_shop_asks_again_and_pays_once(
    market: Market, alice: Buyer, fault: str, made: int
) -> None:
    market.site.faults["/payments"] = fault
    page = alice.get(alice.decide(alice.checkout()))
    assert heading(page) == "Your payment is being made"
    assert len(market.payments()) == made
    check = f"/shop/orders/{market.order()['id']}/check"
    still = alice.follow(alice.submit(page, check))
    assert heading(still) == "Your payment is being made"
    # neither the basket nor the bank's page opens a second way to pay meanwhile
    assert heading(alice.follow(alice.submit(alice.get("/"), "/shop/checkout"))) == heading(still)
    market.site.faults.clear()
    assert heading(alice.follow(alice.submit(still, check))) == "Receipt"
    assert len(market.payments()) == 1


@pytest.mark.parametrize("body", ["[]", "{}", '{"id": "x"}', '{"id": 7}', "paid"])
def test_an_answer_that_tells_no_payment_is_no_receipt(market: Market, alice: Buyer, body: str) -> None:
    market.site.faults["/payments"] = lambda: Response(body, 201, content_type="application/json")
    page = alice.get(alice.decide(alice.checkout()))
    market.site.faults.clear()
    assert heading(page) == "Your payment is being made"
    check = f"/shop/orders/{market.order()['id']}/check"
    assert heading(alice.follow(alice.submit(page, check))) == "Receipt"
    assert len(market.payments()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 429, 500])
def test_what_the_payments_api_answers_is_told_for_what_it_is(
    market: Market, alice: Buyer, status: int
) -> None:
    market.site.faults["/payments"] = lambda: Response("{}", status, content_type="application/json")
    page = alice.get(alice.decide(alice.checkout()))
    titles = {422: "Did this payment go through?"} | dict.fromkeys((400, 401, 403), "Payment not made")
    assert heading(page) == titles.get(status, "Your payment is being made")
    assert (NOTHING in words(page)) == (heading(page) == "Payment not made")


def doubtful(market: Market, alice: Buyer, fault: str) -> httpx.Response:
    """The page of an order that may be paid, after the approval has ended."""
    market.site.faults["/payments"] = fault
    page = alice.get(alice.decide(alice.checkout()))
    market.site.faults.clear()
    market.end_approval()
    page = alice.follow(alice.submit(page, f"/shop/orders/{market.order()['id']}/check"))
    assert heading(page) == "Did this payment go through?"
    return page


@pytest.mark.parametrize(("fault", "made"), [("before", 0), ("after", 1)])
def test_when_the_approval_ends_before_the_answer_another_one_pays_no_second_time(
    market: Market, alice: Buyer, fault: str, made: int
) -> None:
    page = doubtful(market, alice, fault)
    before = market.payments()
    assert len(before) == made
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    receipt = alice.get(alice.decide(asked, account=1))
    assert heading(receipt) == "Receipt"
    (payment,) = market.payments()
    assert payment == (before or [payment])[0]
    # the account that was charged, not the one chosen the second time
    assert payment["debtor_iban"][-4:] in words(receipt)


def test_a_later_refusal_does_not_claim_that_nothing_was_paid(market: Market, alice: Buyer) -> None:
    page = doubtful(market, alice, "after")
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    denied = alice.get(alice.decide(asked, "deny"))
    assert heading(denied) == "Did this payment go through?"
    assert NOTHING not in words(denied)


def test_another_persons_approval_of_a_doubtful_order_pays_nothing(market: Market, alice: Buyer) -> None:
    page = doubtful(market, alice, "after")
    alice.client.cookies.delete("sid", domain="localhost.local")
    alice.username = "bob"
    asked = alice.at_bank(alice.submit(page, f"/shop/orders/{market.order()['id']}/pay"))
    assert "Bob Brown" in words(asked)
    assert heading(alice.get(alice.decide(asked))) == "Did this payment go through?"
    assert len(market.payments()) == 1


@pytest.mark.parametrize("where", [(IssuerClient, "redeem"), (Orders, "hold")])
def test_a_crash_before_there_was_a_token_leaves_an_order_that_can_be_paid(
    market: Market, alice: Buyer, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(*where, crash)
        assert alice.get(alice.decide(alice.checkout())).status_code == 500
    path = f"/shop/orders/{market.order()['id']}"
    page = alice.get(path)
    assert heading(page) == "Your payment is being made"
    assert heading(alice.follow(alice.submit(page, f"{path}/check"))) == "Your payment is being made"
    market.change_orders("since = since - 61")
    page = alice.follow(alice.submit(page, f"{path}/check"))
    assert heading(page) == "Payment not made"
    assert market.payments() == []
    asked = alice.at_bank(alice.submit(page, f"{path}/pay"))
    assert heading(alice.get(alice.decide(asked))) == "Receipt"
    assert len(market.payments()) == 1


@pytest.mark.parametrize(
    ("where", "made"), [((PaymentsClient, "pay"), 0), ((Orders, "paid"), 1)], ids=["before", "after"]
)
def test_a_crash_after_there_was_a_token_is_made_good_by_asking_again(
    market: Market,
    alice: Buyer,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[type, str],
    made: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(*where, crash)
        assert alice.get(alice.decide(alice.checkout())).status_code == 500
    assert len(market.payments()) == made
    # even long after: with a token there is no other way out than to ask
    market.change_orders("since = since - 3600")
    path = f"/shop/orders/{market.order()['id']}"
    page = alice.get(path)
    assert heading(page) == "Your payment is being made"
    assert heading(alice.follow(alice.submit(page, f"{path}/check"))) == "Receipt"
    assert len(market.payments()) == 1


def crash(*_args: object) -> None:
    raise RuntimeError("the shop dies here")


def test_an_attempt_that_was_too_slow_pays_nothing(
    market: Market, alice: Buyer, make_buyer: Callable[..., Buyer]
) -> None:
    first, second = (alice.decide(alice.checkout()) for _ in range(2))
    overtaken: list[str] = []

    def slow() -> None:
        if not overtaken:
            overtaken.append("")
            market.change_orders("since = since - 61")
            overtaken.append(heading(alice.get(second)))

    market.issuer.faults["/token"] = slow
    assert heading(alice.get(first)) == "Receipt"
    assert overtaken == ["", "Receipt"]
    assert len(market.payments()) == market.site.hits["/payments"] == 1


def test_the_failure_of_a_slow_attempt_says_nothing_about_the_one_that_overtook_it(
    market: Market, alice: Buyer
) -> None:
    first, second = (alice.decide(alice.checkout()) for _ in range(2))
    overtaken: list[str] = []

    def slow() -> str | None:
        if overtaken:
            return None
        overtaken.append("")
        market.change_orders("since = since - 61")
        market.site.faults["/payments"] = "after"
        overtaken.append(heading(alice.get(second)))
        return "before"

    market.issuer.faults["/token"] = slow
    page = alice.get(first)
    assert overtaken == ["", heading(page)] == ["", "Your payment is being made"]
    market.site.faults.clear()
    assert (
        heading(alice.follow(alice.submit(page, f"/shop/orders/{market.order()['id']}/check"))) == "Receipt"
    )
    assert len(market.payments()) == 1


# Forms, headers, settings.


def test_forms_of_others_do_nothing(market: Market, alice: Buyer) -> None:
    basket = alice.get("/")
    fields = {"basket": "1", "form": re.findall(r'name="form" value="([^"]+)"', basket.text)[0]}
    url = f"{market.site.url}/shop/checkout"
    foreign = [
        alice.client.post(url, data={"basket": "1"}),
        alice.client.post(url, data=fields | {"form": "x" * 64}),
        alice.client.post(url, data=fields, headers={"Origin": "https://evil.example"}),
        alice.client.post(url, data=fields, headers={"Origin": "null"}),
        httpx.post(url, data=fields),
        alice.client.post(url, data=fields, headers={"Host": f"localhost:{market.site.port}"}),
    ]
    assert [answer.status_code for answer in foreign] == [403, 403, 403, 403, 403, 400]
    assert "out of date" in words(foreign[0])
    own = alice.client.post(url, data=fields, headers={"Origin": market.site.url})
    assert own.headers["Location"].startswith(f"{market.issuer.url}/authorize?")


def test_the_shop_has_one_name(market: Market) -> None:
    answer = httpx.get(f"http://localhost:{market.site.port}/shop/orders/x")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{market.site.url}/")


def test_every_page_carries_the_headers_and_nothing_inline_or_from_elsewhere(
    market: Market, alice: Buyer
) -> None:
    basket = alice.get("/")
    pages = [basket, alice.get(CALLBACK), alice.get("/shop/nowhere")]
    pages.append(alice.get(alice.decide(alice.checkout(), "deny")))
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; base-uri 'none'; frame-ancestors 'none'")
        assert policy.endswith(f"form-action 'self' {market.issuer.url}")
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<script|<style|style=|\son\w+=|javascript:", page.text)
        for address in re.findall(r'(?:href|src|action)="([^"]+)"', page.text):
            assert address.startswith("/")
    cookie = basket.headers["Set-Cookie"]
    assert cookie.startswith("corner_shop=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    styles = alice.get("/shop/static/shop.css")
    assert (styles.status_code, styles.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "http" not in styles.text


def test_the_shop_leaves_all_other_paths_to_the_api(market: Market) -> None:
    for path in ("/payments/x", "/shopping", "/nowhere", "/static/shop.css"):
        assert httpx.get(market.site.url + path).headers["Content-Type"] == "application/json"
    assert httpx.get(f"{market.site.url}/shop").headers["Location"] == "/"


def test_orders_that_were_never_paid_are_forgotten_in_time(market: Market, alice: Buyer) -> None:
    page = doubtful(market, alice, "after")
    path = f"/shop/orders/{market.order()['id']}"
    market.change_orders("since = since - 31 * 86400")
    other = Buyer(market, "bob")
    try:
        other.checkout()
    finally:
        other.close()
    # one that may be paid is kept
    assert heading(alice.get(path)) == heading(page)
    market.change_orders("since = since - 31 * 86400, doubt = 0")
    alice.checkout()
    assert alice.get(path).status_code == 404


@pytest.mark.spec("RFC 9470", "4")
def test_the_shop_follows_when_the_api_wants_the_payer_to_sign_in_anew(
    open_market: Callable[..., Market],
) -> None:
    market = open_market(api={"step_up_over": 2000})
    alice = Buyer(market)
    asked = alice.checkout()
    # she signed in long ago, and went on from page to page
    with market.services.database.writing() as connection:
        sessions = table_of(Session)
        connection.execute(update(sessions).values(auth_time=sessions.c.auth_time - 600))
    sent = alice.client.get(alice.decide(asked))
    assert market.payments() == []
    query = parse_qs(urlsplit(sent.headers["Location"]).query)
    assert (query["max_age"], query["acr_values"]) == (["300"], ["phr urn:authserver:acr:mfa"])
    assert heading(alice.follow(sent)) == "Sign in"
    receipt = alice.get(alice.decide(alice.at_bank(sent)))
    assert heading(receipt) == "Receipt"
    assert len(market.payments()) == 1
    alice.close()


def test_a_bank_that_does_not_step_up_sends_nobody_in_a_circle(open_market: Callable[..., Market]) -> None:
    market = open_market(api={"step_up_over": 2000, "step_up": Authentication(("unheard-of",))})
    alice = Buyer(market)
    again = alice.at_bank(alice.client.get(alice.decide(alice.checkout())))
    page = alice.get(alice.decide(again))
    assert "asks you to sign in once more" in words(page)
    assert NOTHING in words(page)
    assert market.payments() == []
    alice.close()


def test_receipts_may_live_on_another_host(open_market: Callable[..., Market]) -> None:
    market = open_market(receipt_base="http://127.0.0.2:9/receipts")
    alice = Buyer(market)
    try:
        basket = alice.get("/")
        assert basket.headers["Content-Security-Policy"].endswith(f"{market.issuer.url} http://127.0.0.2:9")
        denied = alice.client.get(alice.decide(alice.checkout(), "deny"))
        order = market.order()["id"]
        assert denied.headers["Location"] == f"/shop/orders/{order}"
        paid = alice.client.get(alice.decide(alice.checkout()))
        assert (paid.status_code, paid.headers["Location"]) == (303, f"http://127.0.0.2:9/receipts/{order}")
        assert heading(alice.get(f"/shop/orders/{order}")) == "Receipt"
    finally:
        alice.close()


@pytest.mark.parametrize(
    "base",
    [
        "//x.example/r",
        "javascript:alert(1)",
        "https://x.example/r?a=b",
        "https://x.example/",
        "https://u@x.example/r",
    ],
)
def test_a_receipt_base_that_is_no_plain_address_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match="SHOP_RECEIPT_BASE"):
        ShopSettings(
            "http://localhost:1", "shop", "secret", "http://127.0.0.1:2/shop/callback", receipt_base=base
        )


def test_an_api_without_a_demo_has_no_shop(tmp_path: Path) -> None:
    assert ShopSettings.from_environ({"PAYMENTS_ISSUER": "https://as.example"}) is None
    path = tmp_path / "demo.json"
    path.write_text('{"issuer": "https://as.example", "clients": [], "resource_servers": []}')
    assert ShopSettings.from_environ({"PAYMENTS_DEMO": str(path)}) is None
    path.write_text('{"issuer": "https://as.example", "clients": [{"client_id": "demo-shop"}]}')
    with pytest.raises(SettingsError, match="must know"):
        ShopSettings.from_environ({"PAYMENTS_DEMO": str(path)})


@pytest.mark.spec("RFC 8252", "7.3")
def test_the_demo_app_gets_a_token_on_any_port_of_its_own_device_without_a_secret(
    market: Market, alice: Buyer
) -> None:
    callback, verifier = "http://127.0.0.1:49152/callback", "v" * 43
    asked = {
        "response_type": "code",
        "client_id": "demo-app",
        "redirect_uri": callback,
        "scope": "openid profile accounts:read offline_access",
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    login = alice.get(f"{market.issuer.url}/authorize?{urlencode(asked)}")
    secret = {"username": "alice", "password": market.password("alice")}
    step = alice.follow(alice.submit(login, "/login", **secret))
    consent = alice.follow(alice.submit(step, "/mfa", code=market.code("alice")))
    assert "Demo app" in words(consent)
    answer = alice.submit(consent, "/consent", decision="approve").headers["Location"]
    assert answer.startswith(f"{callback}?code=")
    form = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(answer).query)["code"][0],
        "redirect_uri": callback,
        "code_verifier": verifier,
        "client_id": "demo-app",
    }
    tokens = httpx.post(f"{market.issuer.url}/token", data=form).json()
    assert tokens["scope"] == asked["scope"]
    assert {"access_token", "id_token", "refresh_token"} <= set(tokens)
