"""What people are asked, and that their answer counts once, as it was shown."""

from __future__ import annotations

import html
import json
import re
import threading
from typing import Any
from urllib.parse import urlencode

import pytest
from asking import (
    CALLBACK,
    CODE,
    IBAN,
    PAYMENT,
    SCOPES,
    Asking,
    answer,
    ask,
    decide,
    follow,
    parameters,
    payment,
    start,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.app import Moving
from plugins.factors import code_for
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import select

from authserver.db import table_of
from authserver.models.authorization import Authorization
from authserver.models.grant import Grant
from authserver.oauth.consent import Consents
from authserver.oauth.payment import DemoAccounts

grants = table_of(Grant)


def shown(page: Any) -> str:
    """What a person reads on a page."""
    text = re.sub(r"<[^>]+>", " ", page.text.split("<main", 1)[1])
    return " ".join(html.unescape(text).replace("\u202f", " ").split())


def test_scopes_are_told_in_words_and_both_answers_are_there(asking: Asking) -> None:
    page = start(asking.browser(logged_in=True))
    text = shown(page)
    assert "Corner shop asks to:" in text
    assert "Know who you are" in text
    assert "The scope accounts:read" in text
    assert "Signed in as Alice" in text
    assert "Cancel and return to Corner shop" in text
    assert 'name="decision" value="approve"' in page.text
    assert 'name="decision" value="deny"' in page.text


def test_a_denial_is_told_to_the_client_and_nothing_is_remembered(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    found = answer(decide(browser, start(browser), "deny"))
    assert (found["error"], found["state"]) == ("access_denied", "S1")
    assert "code" not in found
    assert len(asking.events("consent.denied")) == 1
    assert asking.rows() == {"interactions": 1, "authorizations": 0, "codes": 0, "grants": 0}
    assert start(browser).request.path == "/consent"


@pytest.mark.parametrize("decision", ["", "APPROVE", "yes", "approve\n", "deny,approve"])
def test_what_is_no_decision_decides_nothing(asking: Asking, decision: str) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    assert browser.submit(page, "/consent", decision=decision).status_code == 400
    assert asking.rows()["codes"] == 0
    assert "code" in answer(decide(browser, page))


def test_both_decisions_at_once_are_none(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    fields = hidden_fields(start(browser).text, "/consent")
    body = urlencode([*fields.items(), ("decision", "deny"), ("decision", "approve")]).encode()
    assert browser.post("/consent", body).status_code == 400
    assert asking.rows()["codes"] == 0


def test_a_decision_takes_the_token_that_this_browser_got_for_consent(asking: Asking) -> None:
    browser, other = asking.browser(logged_in=True), asking.browser(logged_in=True)
    page = start(browser)
    fields = hidden_fields(page.text, "/consent") | {"decision": "approve"}
    theirs = hidden_fields(start(other).text, "/consent")["csrf"]
    account = hidden_fields(browser.get("/logout").text, "/logout")["csrf"]
    for wrong in ({"csrf": ""}, {"csrf": theirs}, {"csrf": account}, {"csrf": fields["csrf"][:-1]}):
        assert browser.post("/consent", fields | wrong).status_code == 403
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert browser.post("/consent", fields, **headers).status_code == 403
    assert asking.rows()["codes"] == 0
    assert browser.post("/consent", fields, Origin=browser.issuer).status_code == 303


@pytest.mark.parametrize("round_", range(5))
def test_five_clicks_at_once_give_exactly_one_code(asking: Asking, round_: int) -> None:
    browser = asking.browser(logged_in=True)
    details = payment() if round_ % 2 else None
    client_id = "pay1" if details else "shop"
    page = start(browser, client_id, authorization_details=details)
    tabs = [copy_of(browser) for _ in range(5)]
    # one code, read off the app once
    typed = {"code": code_for(asking.world.services, browser.cookie("sid"))} if details else {}
    begin = threading.Barrier(5)
    answers: list[Any] = []

    def click(tab: Browser) -> None:
        begin.wait()
        answers.append(decide(tab, page, **typed))

    threads = [threading.Thread(target=click, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 5
    late = [response for response in answers if not (response.location or "").startswith(CALLBACK)]
    assert len(late) == 4
    for response in late:
        # it is answered; or, where the first click has proved a factor, the session of this tab is another's
        resumed = (response.location or "").startswith("/authorize/resume?request=")
        assert response.status_code == 409 or (details and response.status_code == 303 and resumed)
    assert asking.rows() == {"interactions": 1, "authorizations": 1, "codes": 1, "grants": 1}
    assert len(asking.events("code.issued")) == len(asking.events("consent.granted")) == 1


def test_approving_and_denying_at_once_is_one_of_them(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    begin = threading.Barrier(4)
    answers: list[Any] = []

    def click(tab: Browser, decision: str) -> None:
        begin.wait()
        answers.append(decide(tab, page, decision))

    threads = [
        threading.Thread(target=click, args=(copy_of(browser), decision))
        for decision in ["approve", "deny"] * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(response.status_code for response in answers) == [303, 409, 409, 409]
    made = len(asking.events("code.issued")), len(asking.events("consent.denied"))
    assert sum(made) == 1
    assert asking.rows()["codes"] == made[0]


def test_two_tabs_that_allow_different_scopes_at_once_are_both_remembered(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    pages = [start(browser, scope="openid profile"), start(browser, scope="openid email")]
    begin = threading.Barrier(2)
    answers: list[Any] = []

    def click(page: Any) -> None:
        tab = copy_of(browser)
        begin.wait()
        answers.append(decide(tab, page))

    threads = [threading.Thread(target=click, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [response.status_code for response in answers] == [303, 303]
    assert remembered(asking) == ["email", "openid", "profile"]
    assert "code" in answer(start(browser, scope="openid email profile"))


def copy_of(browser: Browser) -> Browser:
    """Another tab: the same cookies, a connection of its own."""
    tab = Browser(browser.app)
    for name in ("browser", "sid", "csrf"):
        tab.set_cookie(name, browser.cookie(name) or "")
    return tab


def remembered(asking: Asking) -> list[str]:
    with asking.world.services.database.reading() as connection:
        return list(connection.execute(select(grants.c.scopes)).scalar_one())


def test_withdrawn_consent_is_asked_again_and_ends_what_stood_on_it(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    body = asking.redeem(answer(decide(browser, start(browser)))["code"]).json
    consents = asking.world.services.consents
    assert consents.withdraw(asking.alice, "shop")
    assert not consents.withdraw(asking.alice, "shop")
    assert not consents.withdraw(asking.alice, "nobody")
    assert len(asking.events("consent.withdrawn")) == 1
    introspected = asking.world.post("/introspect", as_="rs_accounts", form={"token": body["access_token"]})
    assert introspected.json == {"active": False}
    page = start(browser, scope="openid")
    assert page.request.path == "/consent"
    decide(browser, page)
    assert remembered(asking) == ["openid"]


def test_words_that_changed_under_an_open_page_are_read_again(asking: Asking) -> None:
    services = asking.world.services
    browser = asking.browser(logged_in=True)

    def sentence() -> None:
        services.scopes.describe("accounts:read", "Empty all your accounts")
        services.versions.forget()

    def name() -> None:
        with services.clients._changing("shop", {"client_name": "Other shop"}):
            pass

    for change, words in ((sentence, "Empty all your accounts"), (name, "Other shop asks to:")):
        page = start(browser, prompt="consent")
        change()
        again = decide(browser, page)
        assert again.status_code == 409
        assert "This page has changed. Read it again." in shown(again)
        assert words in shown(again)
        assert asking.rows()["codes"] == 0
        # who does not want it may leave without reading it again
        assert answer(decide(browser, page, "deny"))["error"] == "access_denied"
    page = start(browser, prompt="consent")
    sentence()
    assert "This page has changed" not in page.text
    assert "code" in answer(decide(browser, page))
    # what was allowed is the scope; a new sentence for it asks nobody again
    services.scopes.describe("accounts:read", "See your accounts")
    services.versions.forget()
    assert "code" in answer(start(browser))


def test_a_payment_is_read_again_too_and_then_approved(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    with asking.world.services.clients._changing("pay1", {"client_name": "Merchant B"}):
        pass
    again = decide(browser, page)
    assert again.status_code == 409
    assert "This page has changed. Read it again." in shown(again)
    assert "Merchant B" in shown(again)
    assert asking.rows()["codes"] == 0
    assert "code" in answer(decide(browser, again))


@pytest.mark.parametrize("claimed", ["", "x", "A" * 43])
def test_a_form_that_does_not_say_what_it_showed_approves_nothing(asking: Asking, claimed: str) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    assert browser.submit(page, "/consent", decision="approve", shown=claimed).status_code == 409
    assert asking.rows()["codes"] == 0


@pytest.mark.spec("RFC 8252", "8.6")
@pytest.mark.spec("RFC 6749", "10.2")
def test_an_app_that_any_program_can_pose_as_is_allowed_anew_each_time(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for uri in ("http://127.0.0.1:50001/cb", "com.example.app:/cb"):
        for _ in range(2):
            page = start(browser, "app", redirect_uri=uri)
            assert page.request.path == "/consent"
            assert "code" in answer(decide(browser, page), uri)
        silent = answer(start(browser, "app", redirect_uri=uri, prompt="none"), uri)
        assert silent["error"] == "consent_required"
    assert remembered(asking) == ["accounts:read", "openid"]


@pytest.mark.spec("RFC 8252", "8.6")
def test_consent_counts_again_where_who_gets_the_code_is_certain(asking: Asking) -> None:
    loopback = "http://localhost:3000/cb"
    for client_id, method, kind, uris in (
        ("spa", "none", "web", [CALLBACK, loopback]),
        ("kept", "client_secret_basic", "native", ["http://127.0.0.1/cb"]),
    ):
        asking.world.services.clients.create(
            {
                "client_id": client_id, "client_name": client_id, "state": "active", "profile": "oauth21",
                "token_endpoint_auth_method": method, "application_type": kind, "grant_types": CODE,
                "redirect_uris": uris, "scopes": SCOPES, "tier": "gold",
            }
        )  # fmt: skip
    browser = asking.browser(logged_in=True)
    for client_id, uri in (("spa", CALLBACK), ("kept", "http://127.0.0.1:5000/cb")):
        decide(browser, start(browser, client_id, redirect_uri=uri))
        assert "code" in answer(start(browser, client_id, redirect_uri=uri, prompt="none"), uri)
    asked = answer(start(browser, "spa", redirect_uri=loopback, prompt="none"), loopback)
    assert asked["error"] == "consent_required"


def test_a_client_that_becomes_public_while_its_answer_is_made_is_asked_about(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser, "shop"))
    monkeypatch.setattr(Consents, "needed", lambda *_: False)
    monkeypatch.setattr(Consents, "recallable", lambda *_: False)
    opened = ask(browser, "shop").headers["Location"]
    # asked anew instead of answered
    assert browser.get(opened).headers["Location"] == opened
    assert asking.rows()["codes"] == 1


@pytest.mark.spec("RFC 9396", "7")
def test_a_payment_is_shown_and_carried_exactly_as_approved(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    asked = PAYMENT | {
        "instructedAmount": {"amount": "1234567.50", "currency": "EUR"},
        "creditorAccount": {"iban": IBAN, "bic": "COBADEFFXXX"},
        "creditorName": "Café <b>&amp; Söhne",
        "remittanceInformationUnstructured": "Order 7 – thé",
    }
    page = start(browser, "pay1", scope="openid payments:initiate", authorization_details=json.dumps([asked]))
    text = shown(page)
    for part in (
        "1 234 567.50 EUR", "Café <b>&amp; Söhne", "DE89 3704 0044 0532 0130 00", "COBADEFFXXX",
        "Order 7 – thé", "Merchant A", "Current account", "Savings account", "Pay 1 234 567.50 EUR",
        "Cancel and return to Merchant A", "Signed in as Alice",
    ):  # fmt: skip
        assert part in text, part
    assert "<b>" not in page.text
    # the receipt is what that scope stands for; beside it, it would read as more than this payment
    assert "The scope payments:initiate" not in text
    assert "Know who you are" in text
    chosen = DemoAccounts().of(asking.alice)[1]
    found = answer(decide(browser, page, account=chosen.iban))
    body = asking.redeem(found["code"], "pay1").json
    event = asking.events("payment.approved")[0]["detail"]
    reference = {"id": event["evidence"], "digest": event["digest"]}
    approved = [asked | {"debtorAccount": {"iban": chosen.iban}, "approval": reference}]
    assert body["authorization_details"] == approved
    token = {"token": body["access_token"]}
    assert (
        asking.world.post("/introspect", as_="rs_payments", form=token).json["authorization_details"]
        == approved
    )
    claims = asking.world.services.keys.verify(body["access_token"], ["at+jwt"])
    assert claims["authorization_details"] == approved
    # the audit log tells of a payment, not of account numbers
    assert chosen.iban not in repr(asking.world.events())
    assert IBAN not in repr(asking.world.events())
    assert asking.events("consent.granted")[0]["detail"]["types"] == ["payment_initiation"]


def test_a_payment_is_never_remembered(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    for _ in range(2):
        page = start(browser, "pay1", authorization_details=payment())
        assert "Approve this payment?" in page.text
        assert "code" in answer(decide(browser, page))
    assert remembered(asking) == []
    assert (
        answer(start(browser, "pay1", authorization_details=payment(), prompt="none"))["error"]
        == "consent_required"
    )
    # nor do the scopes that came with it pass later without a question
    assert start(browser, "pay1").request.path == "/consent"
    decide(browser, start(browser, "pay1"))
    assert "code" in answer(start(browser, "pay1"))
    assert "Approve this payment?" in start(browser, "pay1", authorization_details=payment()).text
    assert "consent_required" in asking.reasons("authz.interaction")


def test_money_leaves_only_an_account_of_the_payer(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    bob = add_user(asking.world.services, "bob")
    page = start(browser, "pay1", authorization_details=payment())
    for account in (
        "",
        IBAN,
        DemoAccounts().of(bob)[0].iban,
        "0",
        DemoAccounts().of(asking.alice)[0].iban.lower(),
    ):
        refused = browser.submit(page, "/consent", decision="approve", account=account)
        assert refused.status_code == 400
        assert "Choose the account to pay from" in refused.text
    assert browser.submit(page, "/consent", decision="approve").status_code == 400
    assert asking.rows()["codes"] == 0
    assert "code" in answer(decide(browser, page))


def test_who_has_no_account_can_only_go_back(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DemoAccounts, "of", lambda *_: ())
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    assert "You have no account here" in page.text
    assert 'value="approve"' not in page.text
    assert browser.submit(page, "/consent", decision="approve", account=IBAN).status_code == 400
    assert answer(browser.submit(page, "/consent", decision="deny"))["error"] == "access_denied"


def test_what_the_form_says_of_the_payment_counts_for_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    account = DemoAccounts().of(asking.alice)[0].iban
    more = {
        "amount": "9999.00",
        "authorization_details": "[]",
        "scope": "payments:initiate",
        "client_id": "shop",
    }
    found = answer(decide(browser, page, account=account, **more))
    body = asking.redeem(found["code"], "pay1").json
    assert body["authorization_details"][0]["instructedAmount"] == PAYMENT["instructedAmount"]
    assert body["scope"] == "openid accounts:read"


def test_an_approved_payment_is_bound_to_the_person_and_the_session(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    answer(decide(browser, page))
    with asking.world.services.database.reading() as connection:
        row = connection.execute(select(table_of(Authorization))).mappings().one()
    assert row["user_id"] == asking.alice
    assert (row["acr"], row["amr"]) == ("urn:authserver:acr:mfa", ["pwd", "otp", "mfa"])
    assert row["grant_id"] is not None


@pytest.mark.spec("PSD2 RTS", "4(3)(d)")
def test_who_was_idle_for_five_minutes_signs_in_before_anything_is_approved(
    asking: Asking, moving_clock: Moving
) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    moving_clock.walk(301)
    onward = follow(browser, decide(browser, page))
    assert onward.request.path == "/login"
    assert asking.rows()["codes"] == 0
    assert asking.reasons("session.expired") == ["idle"]
    # the same request goes on after that, and is asked again
    again = follow(browser, browser.log_in(request=hidden_fields(page.text, "/consent")["txn"]))
    assert "Approve this payment?" in again.text
    assert "code" in answer(decide(browser, again))


def test_another_person_who_logs_in_over_the_page_approves_nothing_of_the_first(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    bob = add_user(asking.world.services, "bob")
    page = start(browser, "pay1", authorization_details=payment())
    onward = browser.log_in("bob", request=hidden_fields(page.text, "/consent")["txn"])
    # the token of the form was for alice's session
    assert decide(browser, page).status_code == 403
    fresh = follow(browser, onward)
    assert "Signed in as Bob" in shown(fresh)
    assert DemoAccounts().of(bob)[0].iban in fresh.text
    assert DemoAccounts().of(asking.alice)[0].iban not in fresh.text
    assert asking.rows()["codes"] == 0


NAMES = sorted({*parameters(), "prompt", "max_age", "response_mode", "resource", "authorization_details",
                "id_token_hint", "login_hint", "request", "acr_values", "ui_locales", "claims"})  # fmt: skip
PIECES = st.sampled_from(
    ["", "none", "login", "consent", "code", "form_post", "query", "S256", "openid", "0", "1", "[]", "[{}]",
     payment(), "https://client.example/cb", "%", "&", "=", "\x00", "\r\n", "\ud800", "é", "A" * 300]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(NAMES), PIECES | st.text(max_size=30) | st.none(), max_size=4),
    twice=st.lists(st.tuples(st.sampled_from(NAMES), PIECES), max_size=2),
    client_id=st.sampled_from(["shop", "pay1", "app", "lax1", "nope"]),
    post=st.booleans(),
)
def test_any_request_gets_a_page_or_an_answer_and_never_a_code_unasked(
    asking: Asking, changes: dict[str, str | None], twice: list[tuple[str, str]], client_id: str, post: bool
) -> None:
    usual = parameters(client_id) | changes
    pairs = [*((name, value) for name, value in usual.items() if value is not None), *twice]
    query = urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs])
    browser = Browser(asking.app)
    response = browser.post("/authorize", query.encode()) if post else browser.get(f"/authorize?{query}")
    assert response.status_code in (200, 303, 400, 413, 414)
    assert "code=" not in response.headers.get("Location", "")
    location = response.headers.get("Location", "")
    assert location.startswith(("/authorize/resume?request=", "https://client.example/cb?")) or not location
    if location.startswith("/authorize/resume"):
        onward = browser.get(location)
        assert onward.status_code in (200, 303)
        assert "code=" not in onward.headers.get("Location", "")
    assert asking.rows()["codes"] == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["txn", "decision", "account", "csrf", "x"]), PIECES | st.text(max_size=40)
    )
)
def test_any_form_decides_nothing(asking: Asking, fields: dict[str, str]) -> None:
    browser = Browser(asking.app)
    body = urlencode(
        [(name, value.encode("utf-8", "surrogatepass")) for name, value in fields.items()]
    ).encode()
    for path in ("/consent", "/authorize/cancel"):
        assert browser.post(path, body).status_code in (400, 403)
    usual = start(browser)
    token = hidden_fields(usual.text, "/authorize/cancel")["csrf"]
    with_token = body + f"&csrf={token}".encode()
    assert browser.post("/authorize/cancel", with_token).status_code in (400, 403)
    assert asking.rows()["codes"] == 0


def test_browsers_may_reload_and_open_the_page_twice(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    response = ask(browser)
    pages = [browser.get(response.headers["Location"]) for _ in range(3)]
    assert len({page.headers["Location"] for page in pages}) == 1
    shown_ = [browser.get(pages[0].headers["Location"]) for _ in range(3)]
    assert all(page.status_code == 200 for page in shown_)
    assert "code" in answer(decide(browser, shown_[0]))
