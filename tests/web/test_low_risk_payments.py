"""Transaction risk analysis: a payment like the payer's others is spared its factor, and no other one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from asking import Asking, answer, payment, start
from flask import Flask
from mmdb import write
from plugins.app import Moving
from plugins.factors import fresh_code, give_apps, prove
from plugins.people import Browser
from sqlalchemy import delete, insert, select, update
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.config import Settings, SettingsRefused
from authserver.db import table_of
from authserver.login.risk.assessment import Risk
from authserver.models.sign_in import SignIn, TrustedDevice
from authserver.models.user import User
from authserver.oauth.payment import DemoAccounts
from authserver.oauth.sca_exemptions import Exemptions
from authserver.services import Services

Make = Callable[..., Flask]
DAY = 86_400
HOME, ABROAD, NOWHERE = "192.0.2.20", "198.51.100.7", "203.0.113.200"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
rows, devices, users = table_of(SignIn), table_of(TrustedDevice), table_of(User)


@dataclass
class Agent(Browser):
    """A browser that says what it is."""

    agent: str = field(default=FIREFOX)

    def _open(self, method: str, path: str, headers: dict[str, str], **arguments: Any) -> TestResponse:
        return super()._open(method, path, {"User-Agent": self.agent} | headers, **arguments)


@dataclass
class Regular:
    """Alice, who has paid about a hundred euros a dozen times, from home and on the device that she is at."""

    asking: Asking
    clock: Moving
    browser: Agent

    @property
    def services(self) -> Services:
        return self.asking.world.services

    def asks(self, amount: str = "100.00", browser: Browser | None = None, **changes: Any) -> TestResponse:
        currency = changes.pop("currency", "EUR")
        details = payment(instructedAmount={"amount": amount, "currency": currency}, **changes)
        pays = {"scope": "openid payments:initiate", "authorization_details": details}
        return start(browser or self.browser, "pay1", **pays)

    def exempt(self, amount: str = "100.00", browser: Browser | None = None, **changes: Any) -> bool:
        page = self.asks(amount, browser, **changes)
        assert page.request.path == "/consent", page.request.path
        return 'name="code"' not in page.text

    def click(self, page: TestResponse, browser: Browser | None = None) -> TestResponse:
        account = DemoAccounts().of(self.asking.alice)[0].iban
        return (browser or self.browser).submit(page, "/consent", decision="approve", account=account)

    def change(self, statement: Any) -> None:
        with self.services.database.writing() as connection:
            connection.execute(statement)

    def sign_in(self, browser: Agent) -> Agent:
        """Alice signs in, by password and code."""
        assert browser.log_in().status_code == 303
        assert prove(browser, fresh_code(self.services, self.asking.alice)).status_code == 303
        return browser

    def at(self, app: Flask | None = None, address: str = HOME, agent: str = FIREFOX) -> Agent:
        """A browser with the cookie of her device."""
        browser = Agent(app or self.asking.app, address, agent=agent)
        browser.set_cookie("device", self.browser.cookie("device") or "")
        return browser


@pytest.fixture
def make_regular(make_app: Make, tmp_path: Path, moving_clock: Moving) -> Callable[..., Regular]:
    """Alice with her history, at an app of these settings."""

    def make(past: int = 12, known_days: int = 8, **settings: Any) -> Regular:
        usual = {"sca_exempt_low_risk": "250", "risk_geo_database": write(tmp_path / "places.mmdb")}
        asking = Asking(make_app(**(usual | settings)))
        give_apps(asking.world.services)
        regular = Regular(asking, moving_clock, Agent(asking.app, HOME))
        regular.sign_in(regular.browser)
        with regular.services.database.writing() as connection:
            first = dict(connection.execute(select(rows)).mappings().one())
            made = {"device": "known", "amount": 120, "currency": "EUR", "client_id": "pay1", "sid": ""}
            for number in range(past):
                at = first["at"] - number * DAY
                row = first | made | {"id": crypto.identifier(), "at": at, "completed_at": at}
                connection.execute(insert(rows).values(row))
        moving_clock.walk(known_days * DAY)
        regular.browser = regular.at()
        regular.sign_in(regular.browser)
        return regular

    return make


@pytest.fixture
def regular(make_regular: Callable[..., Regular]) -> Regular:
    return make_regular()


@pytest.mark.spec("PSD2 RTS", "18")
def test_a_payment_like_those_before_it_is_made_by_a_click(regular: Regular) -> None:
    page = regular.asks()
    assert 'name="code"' not in page.text
    answer(regular.click(page))
    (event,) = regular.asking.events("payment.exempted")
    assert (event["reason"], event["detail"]["cents"]) == ("low_risk", 100_00)
    evidence = regular.services.payment_evidences.find(event["detail"]["evidence"])
    assert evidence is not None
    members = evidence.evidence.members
    assert (members["exemption"], members["cents"]) == ("low_risk", "10000")


@pytest.mark.parametrize("limit", [100, 250, 500])
def test_it_goes_up_to_the_threshold_in_euros(make_regular: Callable[..., Regular], limit: int) -> None:
    regular = make_regular(sca_exempt_low_risk=str(limit))
    regular.change(update(rows).values(amount=limit))
    assert regular.exempt(f"{limit}.00")
    assert not regular.exempt(f"{limit}.01")
    assert not regular.exempt("50.00", currency="CHF")


def test_it_is_off_unless_it_is_set(make_regular: Callable[..., Regular]) -> None:
    assert not make_regular(sca_exempt_low_risk="").exempt()


@pytest.mark.parametrize("value", ["50", "300", "1000", "true", "-100", "100.0", "250 "])
def test_a_threshold_that_the_annex_does_not_have_refuses_the_start(value: str) -> None:
    with pytest.raises(SettingsRefused, match="SCA_EXEMPT_LOW_RISK"):
        Settings.load({"AUTHSERVER_SCA_EXEMPT_LOW_RISK": value})


@pytest.mark.parametrize("value", ["", "100", "250", "500"])
def test_the_thresholds_of_the_annex_start(value: str) -> None:
    assert Settings.load({"AUTHSERVER_SCA_EXEMPT_LOW_RISK": value}).sca_exempt_low_risk == value


def test_spending_unlike_theirs_is_asked_for(regular: Regular) -> None:
    # twice the most that was paid is usual, more is not
    assert regular.exempt("240.00")
    assert not regular.exempt("241.00")
    # what is usual is read from ten payments or more, in this currency
    spent = select(rows.c.id).where(rows.c.amount.is_not(None)).order_by(rows.c.at).limit(3)
    regular.change(update(rows).where(rows.c.id.in_(spent)).values(currency="USD"))
    assert not regular.exempt()


@pytest.mark.parametrize(("past", "enough"), [(9, True), (8, False)])
def test_a_history_of_ten_before_this_session_is_one(
    make_regular: Callable[..., Regular], past: int, enough: bool
) -> None:
    regular = make_regular(past=past)
    regular.change(update(rows).values(amount=120, currency="EUR", client_id="pay1"))
    with regular.services.database.reading() as connection:
        # the first sign-in of all is one of them, that of this session is not
        assert len(connection.execute(select(rows)).all()) == past + 2
    assert regular.exempt() == enough


def test_a_device_that_is_new_or_strange_is_asked(regular: Regular) -> None:
    assert regular.exempt()
    kept = regular.browser.cookie("device") or ""
    for cookie in ("", kept[:-1] + ("A" if kept[-1] != "A" else "B")):
        regular.browser.set_cookie("device", cookie)
        assert not regular.exempt()
    regular.browser.set_cookie("device", kept)
    regular.browser.agent = CHROME
    assert not regular.exempt()
    regular.browser.agent = FIREFOX
    assert regular.exempt()
    device = regular.services.device_trust.list(regular.asking.alice, None)[0]
    assert regular.services.device_trust.revoke(regular.asking.alice, device.device_id)
    assert not regular.exempt()


@pytest.mark.parametrize(("days", "known"), [(7, True), (6, False)])
def test_a_device_is_known_for_a_week_before_it_counts(
    make_regular: Callable[..., Regular], days: int, known: bool
) -> None:
    assert make_regular(known_days=days).exempt() == known


@pytest.mark.parametrize("address", [ABROAD, NOWHERE, "192.0.3.1"])
def test_another_place_than_usual_is_asked(regular: Regular, address: str) -> None:
    regular.browser.address = address
    assert not regular.exempt()


def test_without_a_database_of_places_nothing_is_exempt(make_regular: Callable[..., Regular]) -> None:
    assert not make_regular(risk_geo_database=None).exempt()


def test_a_client_that_is_new_to_them_is_asked(regular: Regular) -> None:
    regular.change(update(rows).values(client_id="another"))
    assert not regular.exempt()


def test_a_payee_outside_of_the_european_economic_area_is_asked(regular: Regular) -> None:
    assert regular.exempt(creditorAccount={"iban": "FR1420041010050500013M02606"})
    assert not regular.exempt(creditorAccount={"iban": "GB82WEST12345698765432"})
    assert not regular.exempt(creditorAccount={"iban": "CH9300762011623852957"})


def test_failures_at_the_account_are_asked_about(regular: Regular) -> None:
    regular.change(update(users).values(failures=2))
    assert not regular.exempt()


def test_a_session_that_began_strangely_pays_nothing_so(regular: Regular) -> None:
    session = regular.services.sessions.read(regular.browser.cookie("sid"))
    assert session is not None
    mine = rows.c.sid == session.sid
    assert regular.exempt()
    for values in ({"device": "none"}, {"points": 1}, {"verdict": "step_up"}):
        before = {"device": "known", "points": 0, "verdict": "allow"}
        regular.change(update(rows).where(mine).values(values))
        assert not regular.exempt(), values
        regular.change(update(rows).where(mine).values(before))
    assert regular.exempt()
    # nor one of which nothing is on record
    regular.change(delete(rows).where(mine))
    assert not regular.exempt()


def test_a_model_that_finds_it_unlike_them_asks(regular: Regular, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Risk._judged
    monkeypatch.setattr(Risk, "_judged", lambda *given: replace(judged(*given), unlikely=True))
    assert not regular.exempt()


def test_a_payment_that_was_like_the_others_is_judged_again_as_it_is_approved(
    regular: Regular, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = regular.asks()
    hold_in = Exemptions.hold_in

    def meanwhile(self: Exemptions, connection: Any, *arguments: Any) -> bool:
        connection.execute(update(devices).values(revoked_at=1))
        return hold_in(self, connection, *arguments)

    monkeypatch.setattr(Exemptions, "hold_in", meanwhile)
    assert regular.click(page).location.startswith("/authorize/resume")
    assert regular.asking.events("payment.exempted") == []
    monkeypatch.undo()
    # moved meanwhile, to where they never were
    regular.browser.address = ABROAD
    assert regular.click(page).status_code == 401
    regular.browser.address = HOME
    answer(regular.click(page))


def test_a_sixth_in_a_day_is_asked_for_also_by_two_at_once(regular: Regular) -> None:
    for _ in range(4):
        answer(regular.click(regular.asks()))
    pages, begin, found = [regular.asks() for _ in range(2)], threading.Barrier(2), []

    def clicks(page: TestResponse) -> None:
        tab = regular.at()
        for name in ("sid", "browser", "csrf"):
            if value := regular.browser.cookie(name):
                tab.set_cookie(name, value)
        begin.wait()
        found.append("code=" in (regular.click(page, tab).headers.get("Location") or ""))

    threads = [threading.Thread(target=clicks, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False, True]
    assert regular.asking.reasons("payment.exempted") == ["low_risk"] * 5
    # the next day begins anew
    regular.clock.walk(DAY)
    regular.browser = regular.at()
    regular.sign_in(regular.browser)
    assert regular.exempt()


def test_the_others_are_tried_before(make_regular: Callable[..., Regular]) -> None:
    regular = make_regular(sca_exempt_low_value=True, sca_exempt_recurring=True)
    answer(regular.click(regular.asks("30.00")))
    answer(regular.click(regular.asks("30.01")))
    assert regular.asking.reasons("payment.exempted") == ["low_value", "low_risk"]


def test_a_password_alone_pays_nothing_by_it(regular: Regular) -> None:
    browser = regular.at()
    assert browser.log_in().status_code == 303
    assert not regular.exempt(browser=browser)
