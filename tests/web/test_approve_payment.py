"""Payments are approved by a second factor, asked for once, on the page that says what will be paid."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from asking import PAYMENT, Asking, answer, decide, follow, parameters, payment, start
from plugins.app import Moving
from plugins.factors import App, code_for, fresh_code, give_apps
from plugins.people import Browser, hidden_fields
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.login import totp_secrets
from authserver.oauth import canonical_json
from authserver.oauth.payment import DemoAccounts
from authserver.oauth.payment_evidence import table

PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}
MFA = "urn:authserver:acr:mfa"


def receipt(browser: Browser, **changes: Any) -> TestResponse:
    """The approval page of a payment."""
    page = start(browser, "pay1", **(PAYS | changes))
    assert page.request.path == "/consent", page.request.path
    return page


def evidences(asking: Asking) -> list[Any]:
    with asking.world.services.database.reading() as connection:
        return list(connection.execute(select(table)).all())


def token(asking: Asking, response: TestResponse) -> dict[str, Any]:
    """The claims of the access token for an authorization response."""
    body = asking.redeem(answer(response)["code"], "pay1").json
    return asking.world.services.keys.verify(body["access_token"], ["at+jwt"])


def test_no_code_is_asked_for_of_an_app_that_takes_none(asking: Asking) -> None:
    """Each would fail, and the fifth would lock the payer out."""
    services = asking.world.services
    give_apps(services)
    browser = asking.browser()
    browser.log_in()
    with services.database.writing() as connection:
        connection.execute(update(totp_secrets.table).values(misses=totp_secrets.MOST_MISSES))
    page = receipt(browser)
    assert 'name="code"' not in page.text
    assert "not accepted any more" in page.text


def test_the_factor_is_asked_for_once_on_the_page_and_raises_the_session(asking: Asking) -> None:
    give_apps(asking.world.services)
    browser = asking.browser()
    page = start(browser, "pay1", **PAYS)
    assert page.request.path == "/login"
    page = follow(
        browser, browser.submit(page, "/login", username="alice", password="a purple dog walks home")
    )
    # no second step in between, though every other login of hers has one
    assert page.request.path == "/consent"
    assert browser.get("/account").location == "/mfa"
    before = browser.cookie("sid")
    claims = token(asking, decide(browser, page))
    assert (claims["acr"], claims["amr"]) == (MFA, ["pwd", "otp", "mfa"])
    assert browser.cookie("sid") != before
    assert asking.world.services.sessions.read(before) is None
    assert browser.get("/account").status_code == 200
    (row,) = asking.events("mfa.succeeded")
    assert (row["reason"], row["detail"]["purpose"]) == ("totp", "payment")


def test_whoever_has_no_factor_sets_one_up_first(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    asked = browser.get("/authorize?" + "&".join(_query(PAYS)))
    page = follow(browser, asked)
    assert page.request.path == "/second-factor"
    begun = browser.submit(page, "/account/totp")
    key = begun.text.split('<input type="hidden" name="totp_id"')[1]
    assert key
    secret = "".join(_between(begun.text, "<code", "</code>").partition(">")[2].split())
    done = browser.submit(begun, "/account/totp/confirm", code=App(secret).code())
    assert done.status_code == 200
    txn = hidden_fields(page.text, "/account/totp")["request"]
    assert f'href="/authorize/resume?request={txn}"' in done.text
    page = follow(browser, browser.get(f"/authorize/resume?request={txn}"))
    assert page.request.path == "/consent"
    # the code that confirmed the app is spent
    assert "code" in answer(decide(browser, page))


def test_a_wrong_code_keeps_the_page_and_the_account_and_five_lock(
    asking: Asking, moving_clock: Moving
) -> None:
    browser = asking.browser(logged_in=True)
    page = receipt(browser)
    account = DemoAccounts().of(asking.alice)[1].iban
    assert decide(browser, page, account=account, code="").status_code == 401
    assert asking.reasons("mfa.failed") == []
    for _ in range(5):
        page = decide(browser, page, account=account, code="000000x")
        assert page.status_code == 401
        assert 'role="alert"' in page.text
        assert f'value="{account}" required checked' in page.text
    assert asking.reasons("account.blocked") == ["five_failures"]
    # P10: for half an hour a right one does not do either
    assert decide(browser, page, account=account).status_code == 401
    assert asking.rows()["codes"] == 0 and evidences(asking) == []
    moving_clock.walk(290)
    browser.get("/account")


def test_what_was_approved_rests_as_evidence_and_the_log_has_its_digest(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = receipt(browser)
    chosen = DemoAccounts().of(asking.alice)[1]
    claims = token(asking, decide(browser, page, account=chosen.iban))
    (row,) = evidences(asking)
    kept = asking.world.services.payment_evidences.find(row.evidence_id)
    assert kept is not None
    content = kept.evidence.members
    form = json.loads(content["canonicalForm"])
    assert form == {
        "amount": "123.50",
        "currency": "EUR",
        "creditorName": "Merchant A",
        "creditorAccount": PAYMENT["creditorAccount"],
        "debtorAccount": {"iban": chosen.iban},
        "clientId": "pay1",
        "requestId": crypto.b64u(crypto.digest(hidden_fields(page.text, "/consent")["txn"])),
        "nonce": form["nonce"],
        "template": "approve_payment/1",
        "language": "en",
        "lines": content["lines"],
    }
    assert len(crypto.b64u_decode(form["nonce"])) == 32
    assert canonical_json.encode(form) == content["canonicalForm"].encode()
    assert (content["kind"], row.kind, row.user_id, row.gid) == ("totp", "totp", asking.alice, claims["gid"])
    digest = crypto.b64u(crypto.sha256(kept.evidence.content))
    assert crypto.b64u(row.digest) == digest
    assert claims["authorization_details"][0]["approval"] == {"id": row.evidence_id, "digest": digest}
    (event,) = asking.events("payment.approved")
    assert event["detail"] == {"evidence": row.evidence_id, "digest": digest, "gid": claims["gid"]}
    assert event["reason"] == "totp"
    # nothing of it can be read where it rests
    assert "Merchant" not in row.sealed and chosen.iban not in row.sealed


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_lines_of_the_evidence_are_what_the_page_says(asking: Asking, language: str) -> None:
    browser = asking.browser(logged_in=True)
    details = payment(
        remittanceInformationUnstructured="Order 7 – thé",
        creditorAccount=PAYMENT["creditorAccount"] | {"bic": "COBADEFFXXX"},
    )
    page = receipt(browser, authorization_details=details, ui_locales=language)
    answer(decide(browser, page))
    kept = asking.world.services.payment_evidences.find(evidences(asking)[0].evidence_id)
    assert kept is not None
    content = kept.evidence.members
    assert content["language"] == language
    text = _read(page)
    for line in content["lines"]:
        # a label and its value stand in elements of their own
        label, _, value = line.partition(": ")
        for part in (label, value):
            assert part.replace("\u202f", " ").replace("\u00a0", " ") in text, line


def test_a_code_counts_once_for_a_login_or_a_payment_or_another(asking: Asking, moving_clock: Moving) -> None:
    services = asking.world.services
    browser, other = asking.browser(logged_in=True), asking.browser(logged_in=True)
    first, second = receipt(browser), receipt(other)
    code = fresh_code(services, asking.alice)
    answer(decide(browser, first, code=code))
    # another payment, by the same half minute's code
    refused = decide(other, second, code=code)
    assert refused.status_code == 401
    assert asking.reasons("mfa.replay") == ["totp"]
    assert asking.rows()["codes"] == 1 and len(evidences(asking)) == 1
    # a login after a payment
    third = Browser(asking.app)
    third.log_in()
    login = third.submit(third.get("/mfa"), "/mfa", code=code)
    assert login.status_code == 401
    # and a payment after a login
    moving_clock.walk(60)
    code = fresh_code(services, asking.alice)
    assert third.submit(login, "/mfa", code=code).status_code == 303
    assert decide(other, refused, code=code).status_code == 401
    assert len(evidences(asking)) == 1


def test_a_recovery_code_approves_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = receipt(browser)
    services = asking.world.services
    codes = services.factor_changes.renew_codes(_fresh(asking))
    assert codes
    refused = decide(browser, page, code=codes[0], factor="recovery_code")
    assert refused.status_code == 401
    assert asking.rows()["codes"] == 0


def test_two_pending_payments_of_one_browser_are_not_mixed_up(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    small = receipt(
        browser, authorization_details=payment(creditorName="Small", instructedAmount=_eur("1.00"))
    )
    large = receipt(
        browser, authorization_details=payment(creditorName="Large", instructedAmount=_eur("900.00"))
    )
    mixed = hidden_fields(small.text, "/consent") | {"txn": hidden_fields(large.text, "/consent")["txn"]}
    mixed |= {"decision": "approve", "account": DemoAccounts().of(asking.alice)[0].iban}
    changed = browser.post(
        "/consent", mixed | {"code": code_for(asking.world.services, browser.cookie("sid"))}
    )
    assert changed.status_code == 409
    assert "Read it again" in changed.text and "900.00" in changed.text
    assert evidences(asking) == []
    claims = token(asking, decide(browser, small))
    assert claims["authorization_details"][0]["creditorName"] == "Small"


def test_a_payment_answered_twice_says_so(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = receipt(browser)
    answer(decide(browser, page))
    again = decide(browser, page)
    assert again.status_code == 409
    assert "Nothing was changed" not in again.text
    assert len(evidences(asking)) == 1
    assert asking.reasons("csrf.rejected") == []


def test_a_session_that_ended_while_a_code_was_judged_approves_nothing(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = asking.world.services
    browser = asking.browser(logged_in=True)
    page = receipt(browser)
    judge = type(services.mfa).judge

    def ends(*arguments: Any) -> Any:
        judged = judge(*arguments)
        services.sessions.end_all(asking.alice, "by_operator")
        return judged

    monkeypatch.setattr(type(services.mfa), "judge", ends)
    assert follow(browser, decide(browser, page)).request.path == "/login"
    assert asking.rows()["codes"] == 0 and evidences(asking) == []
    # the code was not spent by it
    monkeypatch.undo()
    page = follow(browser, browser.log_in(request=hidden_fields(page.text, "/consent")["txn"]))
    assert "code" in answer(decide(browser, page))


def test_where_passkeys_alone_approve_a_code_does_not(
    make_app: Callable[..., Any], moving_clock: Moving
) -> None:
    asking = Asking(make_app(payment_sca="webauthn"))
    browser = asking.browser(logged_in=True)
    page = start(browser, "pay1", **PAYS)
    # a code proves all that she has; then a passkey is due
    assert page.request.path == "/mfa"
    page = follow(
        browser, browser.submit(page, "/mfa", code=code_for(asking.world.services, browser.cookie("sid")))
    )
    assert page.request.path == "/second-factor"
    assert "authenticator app" not in page.text
    assert asking.rows()["codes"] == 0


def test_low_value_is_exempt_only_where_it_is_set_and_up_to_five_or_100_eur_in_a_row(
    make_app: Callable[..., Any], moving_clock: Moving
) -> None:
    asking = Asking(make_app(sca_exempt_low_value=True))
    browser = asking.browser(logged_in=True)

    def asks(amount: str, currency: str = "EUR") -> TestResponse:
        details = payment(instructedAmount={"amount": amount, "currency": currency})
        return receipt(browser, authorization_details=details)

    def needs_code(amount: str, currency: str = "EUR") -> bool:
        return 'name="code"' in asks(amount, currency).text

    assert needs_code("30.01") and needs_code("1.00", "USD") and not needs_code("30.00")
    for _ in range(5):
        claims = token(asking, decide(browser, asks("5.00")))
        assert claims["amr"] == ["pwd"]
    # art. 16(c): the sixth in a row
    waiting = asks("5.00")
    assert 'name="code"' in waiting.text
    assert asking.reasons("payment.exempted") == ["low_value"] * 5
    assert asking.reasons("payment.approved") == ["exemption"] * 5
    moving_clock.walk(1)
    answer(decide(browser, waiting))
    moving_clock.walk(1)
    # one with a factor begins anew; art. 16(b): 100 EUR together
    for amount in ("30.00", "30.00", "30.00"):
        answer(decide(browser, asks(amount)))
    assert needs_code("10.01")
    last, too_late = asks("10.00"), asks("9.00")
    answer(decide(browser, last))
    # a page from before the exemption was used up asks for a code now
    again = browser.submit(
        too_late, "/consent", decision="approve", account=DemoAccounts().of(asking.alice)[0].iban
    )
    assert again.status_code == 401, _read(again)
    assert len(asking.events("payment.exempted")) == 9


def test_exemptions_are_off_by_default_and_spare_no_login_its_factor(
    asking: Asking, make_app: Callable[..., Any]
) -> None:
    small = payment(instructedAmount=_eur("1.00"))
    assert 'name="code"' in receipt(asking.browser(logged_in=True), authorization_details=small).text
    exempting = make_app(sca_exempt_low_value=True)
    browser = Browser(exempting)
    # her login needs a factor by now, and has none yet: approving asks for it
    page = start(browser, "pay1", **(PAYS | {"authorization_details": small}))
    page = follow(
        browser, browser.submit(page, "/login", username="alice", password="a purple dog walks home")
    )
    assert 'name="code"' in page.text


def _eur(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


def _between(text: str, start_: str, end: str) -> str:
    return text.split(start_, 1)[1].split(end, 1)[0]


def _query(changes: dict[str, str]) -> list[str]:
    return [f"{name}={quote(value)}" for name, value in parameters("pay1", **changes).items()]


def _fresh(asking: Asking) -> Any:
    """A session of alice that has proved all that she can."""
    services = asking.world.services
    cookie = services.sessions.start(asking.alice, acr=MFA, amr=("pwd", "otp", "mfa"))
    return services.sessions.read(cookie)


def _read(page: TestResponse) -> str:
    text = re.sub(r"<[^>]+>", " ", page.text.split("<main", 1)[1])
    return " ".join(html.unescape(text).replace("\u202f", " ").replace("\u00a0", " ").split())
