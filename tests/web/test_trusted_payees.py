"""Payees whom a payer chose not to be asked for again: chosen with a factor, in what it signs, and ended."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from approving import Payer, make_payer
from asking import PAYMENT, Asking, answer, decide, payment, start
from flask import Flask
from plugins.app import MASTER, Moving
from plugins.factors import give_apps, sign_in, told
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.app import services_of
from authserver.crypto import b64u, random_bytes
from authserver.db import table_of
from authserver.login.webauthn import public_key
from authserver.models.trusted_payee import TrustedPayee
from authserver.oauth.payment import DemoAccounts
from authserver.oauth.payment_evidence import Kept
from authserver.oauth.payment_evidence import table as evidences
from authserver.oauth.payment_evidence_check import faults, list_faults
from authserver.oauth.sca_exemptions import Exemptions
from authserver.purge import PAYMENT_KEPT, purge

Make = Callable[..., Flask]
PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}
ENTRIES = "/account/payees/end"
OTHER_IBAN = {"iban": "DE75512108001245126199"}
table = table_of(TrustedPayee)


@pytest.fixture
def both(make_app: Make) -> Asking:
    """Passkeys approve; payers may trust a payee, or one amount."""
    return Asking(make_app(payment_sca="webauthn", sca_exempt_trusted_payee=True, sca_exempt_recurring=True))


@pytest.fixture
def alice(both: Asking) -> Payer:
    return make_payer(both)


def eur(amount: str, currency: str = "EUR") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def receipt(payer: Payer, **changes: Any) -> TestResponse:
    return payer.receipt(authorization_details=payment(**changes))


def signed(payer: Payer, page: TestResponse, next_time: str = "ask") -> dict[str, str]:
    """What the page's script fills in, with this choice on the page."""
    asked = payer.challenge(page, next_time=next_time).json
    assertion = json.dumps(payer.device.sign(asked["publicKey"]))
    return {
        "nonce": asked["nonce"], "assertion": assertion, "account": payer.accounts[0], "next_time": next_time,
    }  # fmt: skip


def pay(payer: Payer, next_time: str = "ask", **changes: Any) -> str:
    """The code for a payment that a passkey approved."""
    page = receipt(payer, **changes)
    return answer(payer.approve(page, signed(payer, page, next_time)))["code"]


def elsewhere(payer: Payer) -> Payer:
    """The same person in another browser."""
    browser = Browser(payer.asking.app)
    assert browser.log_in().status_code == 303
    return Payer(payer.asking, payer.user_id, browser, payer.device)


def exempt(page: TestResponse) -> bool:
    """Whether the page is content with a click."""
    asks = 'data-webauthn="payment"' in page.text or 'name="code"' in page.text
    clicks = 'name="decision" value="approve"' in page.text
    assert asks or clicks
    return not asks


def click(payer: Payer, page: TestResponse, **more: str) -> TestResponse:
    fields = {"account": payer.accounts[0]} | more
    return payer.browser.submit(page, "/consent", decision="approve", **fields)


def kept(asking: Asking) -> list[Kept]:
    """Every evidence, the oldest first."""
    services = asking.world.services
    with services.database.reading() as connection:
        query = select(evidences.c.evidence_id).order_by(evidences.c.created_at, evidences.c.kind.desc())
        ids = connection.execute(query).scalars().all()
    found = [services.payment_evidences.find(id_) for id_ in ids]
    return [one for one in found if one is not None]


def entries(asking: Asking) -> list[Any]:
    with asking.world.services.database.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.created_at)).all())


def live(asking: Asking) -> int:
    return sum(row.ended_at is None for row in entries(asking))


def read(page: TestResponse) -> str:
    text = re.sub(r"<[^>]+>", " ", page.text.split("<main", 1)[1])
    return " ".join(html.unescape(text).replace("\u202f", " ").replace("\u00a0", " ").split())


@pytest.mark.spec("PSD2 RTS", "13")
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_payee_is_trusted_by_what_a_passkey_signed_and_is_paid_by_a_click(
    both: Asking, alice: Payer, moving_clock: Moving, language: str
) -> None:
    page = alice.receipt(ui_locales=language)
    words = {
        "en": "Your passkey or code the next time: Do not ask again for this payee",
        "de": "Ihr Passkey oder Code beim nächsten Mal: Für diesen Empfänger nicht mehr fragen",
    }[language]
    for part in words.split(": "):
        assert part in read(page)
    # whoever chooses nothing is asked every time
    assert re.findall(r'name="next_time" value="(\w+)"( checked)?', page.text) == [
        ("ask", " checked"), ("payee", ""), ("amount", ""),
    ]  # fmt: skip
    answer(alice.approve(page, signed(alice, page, "payee")))
    (first,) = kept(both)
    form = json.loads(first.evidence.members["canonicalForm"])
    assert (form["nextTime"], form["template"]) == ("payee", "approve_payment/2")
    assert form["lines"] == first.evidence.members["lines"] and form["lines"][-1] == words
    assert first.evidence.members["template"] == "approve_payment/2"
    (row,) = entries(both)
    assert (row.user_id, row.evidence_id, row.amount) == (alice.user_id, first.evidence.evidence_id, None)
    assert "Merchant" not in row.sealed
    (event,) = both.events("payee.trusted")
    assert (event["reason"], event["user_id"]) == ("payee", alice.user_id)
    assert event["detail"] == {"payee": row.id, "evidence": first.evidence.evidence_id}
    assert told(both.app, alice.user_id) == ["payee_trusted"]
    # later, another amount, currency and account, and the name in another case
    moving_clock.walk(60)
    later = receipt(alice, instructedAmount=eur("4000", "JPY"), creditorName="MERCHANT a")
    assert exempt(later) and "next_time" not in later.text
    answer(click(alice, later, account=alice.accounts[1]))
    _, second = kept(both)
    members = second.evidence.members
    assert (members["kind"], members["exemption"]) == ("exemption", "trusted_payee")
    assert members["listEvidence"] == first.evidence.evidence_id
    assert "cents" not in members and members["template"] == "approve_payment/1"
    (event,) = both.events("payment.exempted")
    assert event["reason"] == "trusted_payee"
    assert event["detail"]["list_evidence"] == first.evidence.evidence_id
    assert both.reasons("payment.approved") == ["webauthn", "exemption"]
    assert entries(both)[0].last_used_at == int(moving_clock.at)
    answer(click(alice, receipt(alice, instructedAmount=eur("900000.01"))))
    assert both.events("payment.exempted")[-1]["detail"]["cents"] == 900_000_01
    assert len(entries(both)) == 1


def test_without_a_choice_every_payment_is_asked_for(both: Asking, alice: Payer) -> None:
    for next_time in ("ask", "", "everything"):
        pay(alice, next_time)
        assert json.loads(kept(both)[-1].evidence.members["canonicalForm"])["nextTime"] == "ask"
    page = alice.receipt()
    answer(alice.approve(page, alice.signed(page)))
    assert entries(both) == [] and both.events("payee.trusted") == []
    assert not exempt(alice.receipt())


@pytest.mark.parametrize(
    "changes",
    [
        {"creditorAccount": OTHER_IBAN},
        {"creditorName": "Merchant B"},
        {"creditorName": "Merchant A."},
    ],
    ids=str,
)
def test_another_payee_is_not_trusted(alice: Payer, changes: dict[str, Any]) -> None:
    pay(alice, "payee")
    assert exempt(receipt(alice))
    assert not exempt(receipt(alice, **changes))


def test_another_person_trusts_nobody_by_it(both: Asking, alice: Payer) -> None:
    pay(alice, "payee")
    mallory = make_payer(both, "mallory")
    assert not exempt(receipt(mallory))
    # nor by the row of the other one: its MAC names its person
    with both.world.services.database.writing() as connection:
        connection.execute(table.update().values(user_id=mallory.user_id))
    assert not exempt(receipt(mallory)) and not exempt(receipt(alice))


@pytest.mark.spec("PSD2 RTS", "14")
def test_one_amount_to_a_payee_is_exempt_and_nothing_else(
    both: Asking, alice: Payer, moving_clock: Moving
) -> None:
    pay(alice, "amount")
    (row,) = entries(both)
    assert (row.amount, row.currency) == ("123.50", "EUR")
    assert both.reasons("payee.trusted") == ["amount"]
    for changes in (
        {"instructedAmount": eur("123.49")},
        {"instructedAmount": eur("123.51")},
        {"instructedAmount": eur("123.50", "USD")},
        {"creditorAccount": OTHER_IBAN},
        {"creditorName": "Merchant B"},
    ):
        assert not exempt(receipt(alice, **changes)), changes
    moving_clock.walk(1)
    page = receipt(alice, remittanceInformationUnstructured="November")
    assert exempt(page)
    answer(click(alice, page))
    members = kept(both)[-1].evidence.members
    assert (members["exemption"], members["cents"]) == ("recurring", "12350")
    assert both.reasons("payment.exempted") == ["recurring"]
    # whoever trusts one amount may still trust the payee, or another amount
    other = receipt(alice, instructedAmount=eur("5.00"))
    assert re.findall(r'name="next_time" value="(\w+)"', other.text) == ["ask", "payee", "amount"]
    answer(alice.approve(other, signed(alice, other, "payee")))
    moving_clock.walk(1)
    # a trusted payee is tried before
    answer(click(alice, receipt(alice)))
    assert both.reasons("payment.exempted") == ["recurring", "trusted_payee"]


def test_a_choice_that_was_not_signed_counts_for_nothing(both: Asking, alice: Payer) -> None:
    page = alice.receipt()
    for given, sent in (("ask", "payee"), ("payee", "amount"), ("payee", "ask"), ("amount", "")):
        forged = signed(alice, page, given) | {"next_time": sent}
        assert alice.approve(page, forged).status_code == 401, (given, sent)
    assert kept(both) == [] and entries(both) == []
    assert set(both.reasons("webauthn.rejected")) == {"challenge"}


@pytest.mark.parametrize("on", ["trusted_payee", "recurring", ""])
def test_what_the_operator_does_not_let_be_chosen_is_no_choice(make_app: Make, on: str) -> None:
    settings = {f"sca_exempt_{on}": True} if on else {}
    asking = Asking(make_app(payment_sca="webauthn", **settings))
    alice = make_payer(asking)
    offered = {"trusted_payee": "payee", "recurring": "amount"}.get(on)
    other = "amount" if offered == "payee" else "payee"
    page = alice.receipt()
    values = re.findall(r'name="next_time" value="(\w+)"', page.text)
    assert values == (["ask", offered] if offered else [])
    pay(alice, other)
    form = json.loads(kept(asking)[0].evidence.members["canonicalForm"])
    assert form.get("nextTime") == ("ask" if offered else None)
    assert entries(asking) == [] and not exempt(alice.receipt())
    if offered:
        pay(alice, offered)
        assert exempt(alice.receipt())
    else:
        assert "Payees you trust" not in alice.browser.get("/account/consents").text


def test_what_was_chosen_before_the_setting_was_taken_back_counts_no_more(
    both: Asking, alice: Payer, make_app: Make
) -> None:
    pay(alice, "payee")
    held = Browser(make_app(payment_sca="webauthn"))
    held.set_cookie("sid", alice.browser.cookie("sid") or "")
    assert not exempt(start(held, "pay1", **PAYS))
    assert exempt(alice.receipt())


def test_a_choice_that_comes_with_a_click_trusts_nobody(make_app: Make) -> None:
    asking = Asking(make_app(sca_exempt_low_value=True, sca_exempt_trusted_payee=True))
    browser = asking.browser(logged_in=True)
    small = PAYS | {"authorization_details": payment(instructedAmount=eur("5.00"))}
    page = start(browser, "pay1", **small)
    assert exempt(page) and "next_time" not in page.text
    answer(decide(browser, page, next_time="payee", account=DemoAccounts().of(asking.alice)[0].iban))
    assert asking.reasons("payment.exempted") == ["low_value"]
    assert entries(asking) == []
    assert not exempt(start(browser, "pay1", **PAYS))


def test_a_code_chooses_too_where_codes_approve(make_app: Make) -> None:
    asking = Asking(make_app(sca_exempt_trusted_payee=True))
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", **PAYS)
    account = DemoAccounts().of(asking.alice)[0].iban
    wrong = decide(browser, page, code="000000x", next_time="payee", account=account)
    assert wrong.status_code == 401 and entries(asking) == []
    # the page comes back with nothing chosen
    assert re.findall(r'name="next_time" value="(\w+)" checked', wrong.text) == ["ask"]
    answer(decide(browser, wrong, next_time="payee", account=account))
    assert live(asking) == 1
    assert exempt(start(browser, "pay1", **PAYS))


def test_a_page_from_before_the_choice_is_read_again(both: Asking, alice: Payer) -> None:
    other = elsewhere(alice)
    early = other.receipt()
    fields = signed(other, early, "payee")
    pay(alice, "payee")
    # it offers what was chosen meanwhile
    again = other.approve(early, fields)
    assert again.status_code == 409 and "Read it again" in again.text and "next_time" not in again.text
    assert live(both) == 1


def test_the_list_is_shown_and_an_entry_ended(both: Asking, alice: Payer, moving_clock: Moving) -> None:
    browser = alice.browser
    assert "None. Where you approve a payment you can choose" in browser.get("/account/consents").text
    pay(alice, "payee")
    moving_clock.walk(1)
    pay(alice, "amount", creditorName="Landlord", instructedAmount=eur("1200.00"))
    page = browser.get("/account/consents")
    text = read(page)
    for part in ("Payees you trust", "Merchant A", "For any amount", "Landlord", "For exactly 1 200.00 EUR"):
        assert part in text, part
    assert text.index("Landlord") < text.rindex("Merchant A")
    assert 'aria-label="Ask again for payments to Landlord"' in page.text
    first, second = entries(both)
    waiting = receipt(alice)
    assert exempt(waiting)
    fields = hidden_fields(page.text, ENTRIES) | {"payee": first.id}
    # no other site ends it
    assert browser.post(ENTRIES, fields | {"csrf": "x"}).status_code == 403
    assert live(both) == 2
    done = browser.post(ENTRIES, fields)
    assert (done.status_code, done.location) == (303, "/account/consents?notice=payee_ended")
    shown = browser.get(done.location).text
    assert "You will be asked for your passkey or code again." in shown
    (event,) = both.events("payee.revoked")
    assert (event["reason"], event["user_id"]) == ("by_user", alice.user_id)
    assert event["detail"] == {"payee": first.id}
    assert browser.post(ENTRIES, fields).status_code == 404
    assert [row.id for row in entries(both) if row.ended_at is None] == [second.id]
    # a page that asked for a click asks for the passkey now
    again = click(alice, waiting)
    assert again.status_code in (401, 409) and not exempt(again)
    assert both.events("payment.exempted") == []
    words = browser.get("/account/activity").text
    assert "Payments to a payee need no passkey or code from now on" in words
    assert "Payments to a payee need a passkey or code again" in words


def test_nobody_ends_the_entry_of_another(both: Asking, alice: Payer) -> None:
    pay(alice, "payee")
    mallory = make_payer(both, "mallory")
    pay(mallory, "payee")
    fields = hidden_fields(mallory.browser.get("/account/consents").text, ENTRIES)
    theirs = next(row.id for row in entries(both) if row.user_id == alice.user_id)
    assert mallory.browser.post(ENTRIES, fields | {"payee": theirs}).status_code == 404
    assert live(both) == 2
    assert Browser(both.app).post(ENTRIES, fields).status_code == 403


def test_a_payee_who_is_trusted_no_more_while_a_click_is_judged_is_not_paid(
    both: Asking, alice: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(alice, "payee")
    page = alice.receipt()
    assert exempt(page)
    services, (row,) = both.world.services, entries(both)
    session = services.sessions.read(alice.browser.cookie("sid"))
    assert session is not None
    hold_in = Exemptions.hold_in

    def meanwhile(self: Exemptions, connection: Any, *arguments: Any) -> bool:
        # as another transaction that was first would leave it
        connection.execute(table.update().values(ended_at=1, expires_at=2))
        return hold_in(self, connection, *arguments)

    monkeypatch.setattr(Exemptions, "hold_in", meanwhile)
    refused = click(alice, page)
    assert refused.location.startswith("/authorize/resume")
    monkeypatch.undo()
    assert both.events("payment.exempted") == [] and both.rows()["codes"] == 1
    assert exempt(alice.receipt())
    assert services.trusted_payees.end(session, row.id)
    assert not exempt(alice.receipt())


def test_ending_and_paying_at_once_come_one_after_the_other(both: Asking, alice: Payer) -> None:
    """Whichever was first: a payment that was let through is recorded as before the end."""
    pay(alice, "payee")
    services, (row,) = both.world.services, entries(both)
    session = services.sessions.read(alice.browser.cookie("sid"))
    assert session is not None
    page, begin, done = alice.receipt(), threading.Barrier(2), {}

    def pays() -> None:
        begin.wait()
        done["paid"] = "code=" in (click(alice, page).headers.get("Location") or "")

    def ends() -> None:
        begin.wait()
        done["ended"] = services.trusted_payees.end(session, row.id)

    threads = [threading.Thread(target=one) for one in (pays, ends)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done["ended"] and live(both) == 0
    assert len(both.events("payment.exempted")) == int(done["paid"])
    names = [event["event"] for event in both.world.events()]
    if done["paid"]:
        assert names.index("payment.exempted") < names.index("payee.revoked")


def test_two_choices_at_once_are_one_entry(make_app: Make) -> None:
    asking = Asking(make_app(payment_sca="webauthn", sca_exempt_trusted_payee=True))
    alice = make_payer(asking)
    pages = [alice.receipt() for _ in range(2)]
    given = [signed(alice, page, "payee") for page in pages]
    # the session is renewed by whichever is first: a second one has its own
    other = elsewhere(alice)
    third = other.receipt()
    theirs = signed(other, third, "payee")
    begin, found = threading.Barrier(2), []

    def approves(payer: Payer, page: TestResponse, fields: dict[str, str]) -> None:
        begin.wait()
        found.append(payer.approve(page, fields).headers.get("Location") or "")

    threads = [
        threading.Thread(target=approves, args=arguments)
        for arguments in ((alice, pages[0], given[0]), (other, third, theirs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any("code=" in location for location in found)
    assert live(asking) == 1 and len(asking.events("payee.trusted")) == 1


def test_a_list_has_fifty_entries_at_most(both: Asking, alice: Payer) -> None:
    services = both.world.services
    session = services.sessions.read(alice.browser.cookie("sid"))
    assert session is not None

    def add(number: int) -> None:
        with services.database.writing() as connection:
            trusted = PAYMENT | {"creditorName": f"Payee {number}"}
            services.trusted_payees.add_in(connection, session, trusted, "payee", f"evidence-{number}")

    for number in range(49):
        add(number)
    assert "next_time" in alice.receipt().text
    other = elsewhere(alice)
    waiting = receipt(other, creditorName="One too many")
    fields = signed(other, waiting, "payee")
    pay(alice, "payee")
    assert live(both) == 50
    # it was offered while there was room
    assert other.approve(waiting, fields).status_code == 409
    assert "next_time" not in receipt(alice, creditorName="One too many").text
    add(50)
    assert live(both) == 50
    assert exempt(alice.receipt())
    last = services.trusted_payees.of(alice.user_id)[0]
    assert services.trusted_payees.end(session, last.id)
    assert "next_time" in receipt(alice, creditorName="One too many").text


@pytest.mark.parametrize("change", ["password", "reset", "recovery", "disabled", "erased"])
def test_what_takes_an_account_back_ends_the_list(
    both: Asking, alice: Payer, moving_clock: Moving, change: str
) -> None:
    services = both.world.services
    pay(alice, "payee")
    mallory = make_payer(both, "mallory")
    pay(mallory, "payee")
    reason = {
        "password": "password_changed", "reset": "factors_reset", "recovery": "not_recognised",
        "disabled": "user_disabled", "erased": "erased",
    }[change]  # fmt: skip
    match change:
        case "password":
            token = services.links.make(alice.user_id, "reset")
            assert services.password_reset.set(token, "another purple dog walks home")
        case "reset":
            assert services.factor_changes.reset(alice.user_id)
        case "recovery":
            services.recovery.start(alice.user_id, 1)
        case "disabled":
            services.users.disable(alice.user_id)
        case "erased":
            services.erasure.erase(alice.user_id)
    assert [row.user_id for row in entries(both) if row.ended_at is None] == [mallory.user_id]
    (event,) = both.events("payee.revoked")
    assert (event["reason"], event["detail"]) == (reason, {"payees": 1})
    # what it let through may be disputed for as long as ever
    moving_clock.walk(PAYMENT_KEPT - 1)
    purge(services.database)
    assert len(entries(both)) == 2
    moving_clock.walk(1)
    purge(services.database)
    assert [row.user_id for row in entries(both)] == [mallory.user_id]


def test_low_value_is_tried_first_and_its_bounds_count_it_alone(make_app: Make, moving_clock: Moving) -> None:
    asking = Asking(make_app(sca_exempt_low_value=True, sca_exempt_trusted_payee=True))
    browser = asking.browser(logged_in=True)

    def asks(amount: str, **changes: Any) -> TestResponse:
        details = payment(instructedAmount=eur(amount), **changes)
        return start(browser, "pay1", **(PAYS | {"authorization_details": details}))

    account = DemoAccounts().of(asking.alice)[0].iban
    answer(decide(browser, asks("30.01"), next_time="payee", account=account))
    moving_clock.walk(1)
    for _ in range(5):
        answer(decide(browser, asks("20.00")))
    # the bound of five is reached: the list goes on, and is no payment with a factor
    for amount in ("20.00", "500.00"):
        answer(decide(browser, asks(amount)))
    assert asking.reasons("payment.exempted") == ["low_value"] * 5 + ["trusted_payee"] * 2
    moving_clock.walk(1)
    elsewhere = asks("1.00", creditorName="Merchant B")
    assert not exempt(elsewhere)
    answer(decide(browser, elsewhere))
    moving_clock.walk(1)
    # payments to a trusted payee take no room from the others
    answer(decide(browser, asks("500.00")))
    for _ in range(5):
        assert exempt(asks("20.00", creditorName="Merchant B"))
        answer(decide(browser, asks("20.00", creditorName="Merchant B")))
    assert not exempt(asks("0.01", creditorName="Merchant B"))


def test_low_value_lets_no_sixth_through_by_two_at_once(make_app: Make) -> None:
    asking = Asking(make_app(sca_exempt_low_value=True))
    browser = asking.browser(logged_in=True)
    small = PAYS | {"authorization_details": payment(instructedAmount=eur("5.00"))}
    for _ in range(4):
        answer(decide(browser, start(browser, "pay1", **small)))
    pages, begin, found = [start(browser, "pay1", **small) for _ in range(2)], threading.Barrier(2), []
    account = DemoAccounts().of(asking.alice)[0].iban
    tabs = []
    for page in pages:
        tab = Browser(asking.app)
        for name in ("sid", "browser", "csrf"):
            if value := browser.cookie(name):
                tab.set_cookie(name, value)
        tabs.append((tab, page))

    def clicks(tab: Browser, page: TestResponse) -> None:
        begin.wait()
        done = tab.submit(page, "/consent", decision="approve", account=account)
        found.append("code=" in (done.headers.get("Location") or ""))

    threads = [threading.Thread(target=clicks, args=arguments) for arguments in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False, True]
    assert len(asking.events("payment.exempted")) == 5


def test_a_trusted_payee_spares_no_login_and_no_stricter_rule(make_app: Make, tmp_path: Path) -> None:
    policy = tmp_path / "factors.toml"
    policy.write_text('[[rule]]\nacr = "phr"\namount_over = 500\ncurrency = "EUR"\n')
    asking = Asking(make_app(sca_exempt_trusted_payee=True, factor_policy=policy))
    alice = make_payer(asking)
    pay(alice, "payee")
    give_apps(asking.world.services)
    # a login that waits for its factor gets it here
    assert not exempt(receipt(elsewhere(alice)))
    whole = Payer(asking, alice.user_id, Browser(asking.app), alice.device)
    sign_in(whole.browser)
    assert exempt(receipt(whole, instructedAmount=eur("500.00")))
    # what a rule or the client demands is not reached by that login
    claims = json.dumps({"id_token": {"acr": {"essential": True, "values": ["phr"]}}})
    for page in (receipt(whole, instructedAmount=eur("500.01")), whole.receipt(claims=claims)):
        assert 'data-webauthn="payment"' in page.text and 'name="code"' not in page.text
        assert click(whole, page).status_code == 401
    assert asking.events("payment.exempted") == []


def test_evidence_of_a_choice_is_proved_from_what_was_sealed(
    both: Asking, alice: Payer, moving_clock: Moving
) -> None:
    pay(alice, "payee")
    moving_clock.walk(1)
    answer(click(alice, alice.receipt()))
    chosen, paid = kept(both)
    logged = {row["detail"]["evidence"]: row["detail"]["digest"] for row in both.events("payment.approved")}
    for one in (chosen, paid):
        assert faults(one, logged[one.evidence.evidence_id], public_key.signed) == []
    assert list_faults(paid, chosen) == []
    # another choice was not what the passkey signed
    members = chosen.evidence.members
    for old, new in (('"nextTime":"payee"', '"nextTime":"amount"'), ("for this payee", "for this amount")):
        changed = members | {"canonicalForm": members["canonicalForm"].replace(old, new)}
        assert changed != members
        forged = type(chosen.evidence)(chosen.evidence.evidence_id, "webauthn", json.dumps(changed).encode())
        found = faults(Kept(forged, "", "", forged.digest, 0), None, public_key.signed)
        assert "The passkey signed for another payment." in found
    # and evidence of something else covers no payment
    assert list_faults(paid, None) == ["There is no evidence of the payer's choice."]
    assert "The choice was made without a factor." in list_faults(paid, paid)
    assert "The payer chose otherwise." in list_faults(paid, paid)
    pay(alice, "amount", creditorName="Merchant B", instructedAmount=eur("7.00"))
    other = next(one for one in kept(both) if "Merchant B" in one.evidence.members["canonicalForm"])
    assert list_faults(paid, other) == ["The payer chose otherwise.", "The payer chose for another payee."]


def test_the_proof_of_a_choice_stays_for_as_long_as_what_it_lets_through(
    both: Asking, alice: Payer, moving_clock: Moving
) -> None:
    services = both.world.services
    pay(alice, "payee")
    pay(alice, creditorName="Merchant B")
    moving_clock.walk(PAYMENT_KEPT + 1)
    purge(services.database)
    (left,) = kept(both)
    assert left.evidence.evidence_id == entries(both)[0].evidence_id
    cookie = services.sessions.start(alice.user_id, acr="phr", amr=("hwk",))
    session = services.sessions.read(cookie)
    assert session is not None
    assert services.trusted_payees.end(session, entries(both)[0].id)
    moving_clock.walk(PAYMENT_KEPT - 1)
    purge(services.database)
    assert len(kept(both)) == len(entries(both)) == 1
    moving_clock.walk(1)
    purge(services.database)
    assert kept(both) == [] and entries(both) == []


def test_the_copy_of_ones_data_tells_who_is_trusted(both: Asking, alice: Payer) -> None:
    services = both.world.services
    pay(alice, "amount")
    add_user(services, "bob")
    session = services.sessions.read(alice.browser.cookie("sid"))
    assert session is not None
    made = services.export.made(session)
    assert made is not None
    (row,) = made["data"]["trusted_payee"]
    assert (row["name"], row["iban"]) == ("Merchant A", PAYMENT["creditorAccount"]["iban"])
    assert (row["amount"], row["currency"], row["ended_at"]) == ("123.50", "EUR", None)
    assert not {"id", "mac", "sealed"} & row.keys()


def test_a_list_under_an_older_master_key_counts_and_one_under_a_lost_key_does_not(
    both: Asking, alice: Payer, make_app: Make
) -> None:
    pay(alice, "payee")
    other = f"k9:{b64u(random_bytes(32))}"
    rotated, lost = (
        services_of(make_app(master_keys=keys, sca_exempt_trusted_payee=True))
        for keys in (f"{other},{MASTER}", other)
    )
    for services, known in ((rotated, ["Merchant A"]), (lost, [])):
        assert [one.name for one in services.trusted_payees.of(alice.user_id)] == known
        with services.database.reading() as connection:
            found = services.trusted_payees.find_in(connection, alice.user_id, PAYMENT, "payee")
        assert (found is not None) == bool(known)
