"""What is asked of passwords in a browser: of customers, of staff, and of those that became known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from asking import Asking, answer, decide, start
from click.testing import CliRunner
from flask import Flask
from plugins.app import ISSUER, MASTER, Moving, World
from plugins.factors import give_totp, prove
from plugins.passkeys import give_passkey, log_in
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from werkzeug.test import TestResponse

from authserver.app import services_of
from authserver.cli import main, serve
from authserver.errors import NotDone
from authserver.login.breached import build
from authserver.login.password_policy import BREACHED, NO_MIX, PASSKEY_ONLY, REUSED, too_short
from authserver.login.staff import UNUSED_SECONDS
from authserver.users.past_passwords import kept

FORM = "/account/password"
NEW = "seven brown foxes sleep"
OWL = "grey owl number 0"
DAY = 86_400


@pytest.fixture
def breached(tmp_path: Path) -> Path:
    """A filter that knows the password of the tests, and one more."""
    (tmp_path / "list").write_text(f"{PASSWORD}\nwalk the old dog home\n")
    build(tmp_path / "list", tmp_path / "breached.bin", plain=True)
    return tmp_path / "breached.bin"


def change(browser: Browser, new: str, current: str = PASSWORD) -> TestResponse:
    page = browser.get(FORM)
    assert page.status_code == 200, page.location
    return browser.submit(page, FORM, password=current, new_password=new, new_password_again=new)


def staff(app: Flask, name: str = "olga", password: str = OWL) -> str:
    services = services_of(app)
    user_id = add_user(services, name, password)
    services.users.set_groups(user_id, ["operators"])
    services.versions.forget()
    return user_id


def reasons(app: Flask, event: str) -> list[str]:
    return [row["reason"] for row in World(app, services_of(app)).events(event)]


@pytest.mark.spec("ASVS 5.0", "6.2.12")
@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_a_breached_password_is_set_by_no_way(make_app: Callable[..., Flask], breached: Path) -> None:
    app = make_app(breached_passwords=breached)
    services = services_of(app)
    invited = services.users.create("ida")
    fields = {"password": PASSWORD, "password_again": PASSWORD}
    refused = Browser(app)
    page = refused.get(f"/enrol?token={services.links.make(invited.user_id, 'enrol')}")
    answered = refused.submit(page, "/enrol", **fields)
    assert (answered.status_code, BREACHED in answered.text.replace("&#39;", "'")) == (400, True)
    assert reasons(app, "password.rejected") == ["breached"]
    assert services.users.must(invited.user_id).state == "invited"
    add_user(services, "alice", NEW)
    browser = Browser(app)
    browser.log_in(password=NEW)
    assert change(browser, "walk the old dog home", NEW).status_code == 400
    assert change(browser, "walk the old dog hone", NEW).status_code == 303


@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_one_found_at_login_is_changed_before_the_session_counts(
    make_app: Callable[..., Flask], breached: Path
) -> None:
    asking = Asking(make_app(breached_passwords=breached))
    browser = asking.browser()
    login = start(browser, scope="openid accounts:read")
    request = f"request={hidden_fields(login.text, '/login')['request']}"
    browser.submit(login, "/login", username="alice", password=PASSWORD)
    for path in ("/account", "/account/security", "/mfa"):
        assert browser.get(path).location.partition("?")[0] in {"/mfa", FORM}
    (row,) = asking.events("login.succeeded")
    assert row["detail"]["change_password"] == "breached"
    place = browser.get(f"/authorize/resume?{request}").location
    assert place == f"{FORM}?{request}"
    page = browser.get(place)
    assert "Before you go on" in page.text and "form-action" not in page.headers["Content-Security-Policy"]
    values = {"new_password": NEW, "new_password_again": NEW}
    wrong = browser.submit(page, FORM, password="not this", **values)
    assert wrong.status_code == 403
    done = browser.submit(page, FORM, password=PASSWORD, **values)
    assert (done.status_code, done.location) == (303, f"/authorize/resume?{request}")
    consent = browser.get(browser.get(done.location).location)
    assert "code" in answer(decide(browser, consent))
    again = asking.browser()
    again.log_in(password=NEW)
    assert again.get("/account").status_code == 200


def test_who_knows_a_breached_password_cannot_change_it_without_the_second_factor(
    make_app: Callable[..., Flask], breached: Path, moving_clock: Moving
) -> None:
    app = make_app(breached_passwords=breached)
    enrolled = give_totp(app, add_user(services_of(app), "alice"))
    moving_clock.walk(30)
    browser = Browser(app)
    browser.log_in()
    assert browser.get(FORM).location == "/mfa"
    prove(browser, enrolled.app.code())
    assert browser.get("/account").location == "/mfa"
    assert browser.get("/mfa").location == FORM
    assert change(browser, NEW).status_code == 303
    assert browser.get("/account").status_code == 200


@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_eight_characters_do_for_who_has_a_second_factor_and_as_long_as_they_have(
    app: Flask, moving_clock: Moving
) -> None:
    services = services_of(app)
    enrolled = give_totp(app, add_user(services, "alice"))
    moving_clock.walk(30)
    browser = Browser(app)
    browser.log_in()
    prove(browser, enrolled.app.code())
    page = browser.get(FORM)
    assert 'minlength="8"' in page.text and 'data-least="8"' in page.text
    assert change(browser, "vogel 7").status_code == 400
    assert change(browser, "vogel 7k").status_code == 303
    session = services.sessions.read(browser.cookie("sid"))
    assert session is not None
    assert services.password_rules.change_due(services.users.must(session.user_id), "vogel 7k") == ""
    moving_clock.walk(30)
    factors = services.mfa.factors(session.user_id)
    assert factors.totp is not None
    # the last factor is gone: the short password is all that a login would need
    assert services.factor_changes.reset(session.user_id)
    assert services.password_rules.change_due(services.users.must(session.user_id), "vogel 7k") == "too_weak"


@pytest.mark.spec("PCI DSS 4.0.1", "8.3.6")
@pytest.mark.spec("PCI DSS 4.0.1", "8.3.7")
def test_staff_have_letters_and_digits_and_none_of_the_last_four(app: Flask) -> None:
    olga, services = staff(app), services_of(app)
    browser = Browser(app)
    browser.log_in("olga", OWL)
    refused = change(browser, "grey owls in a tree", OWL)
    assert refused.status_code == 400 and NO_MIX in refused.text
    passwords = [f"grey owl number {n}" for n in range(5)]
    for before, new in pairwise(passwords[:4]):
        assert change(browser, new, before).status_code == 303
    for old in passwords[:3]:
        refused = change(browser, old, passwords[3])
        assert refused.status_code == 400 and REUSED in refused.text
    # a refusal is no attempt, and who does not know the present password learns nothing by it
    assert services.users.must(olga).failures == 0
    assert change(browser, passwords[0], "not this one").status_code == 403
    link = services.links.make(olga, "reset")
    visitor = Browser(app)
    page = visitor.get(f"/enrol?token={link}")
    again = {"password": passwords[3], "password_again": passwords[3]}
    assert REUSED in visitor.submit(page, "/enrol", **again).text
    assert change(browser, passwords[4], passwords[3]).status_code == 303
    assert change(browser, passwords[0], passwords[4]).status_code == 303
    assert set(reasons(app, "password.rejected")) == {"policy", "reused", "bad_password"}


def test_customers_may_come_back_to_an_old_one_and_none_of_theirs_is_kept(
    browser: Browser, alice: str
) -> None:
    browser.log_in()
    assert change(browser, NEW).status_code == 303
    assert change(browser, PASSWORD, NEW).status_code == 303
    assert kept(services_of(browser.app).database, alice) == []


@pytest.mark.spec("PCI DSS 4.0.1", "8.2.6")
def test_staff_who_were_away_for_ninety_days_are_disabled(app: Flask, moving_clock: Moving) -> None:
    services = services_of(app)
    ids = {name: staff(app, name) for name in ("olga", "otto")}
    customer = add_user(services, "alice")
    moving_clock.walk(80 * DAY)
    assert Browser(app).log_in("otto", OWL).status_code == 303
    moving_clock.walk(10 * DAY + 1)
    # at login, with the right password, before any job ran
    assert Browser(app).log_in("olga", OWL).status_code == 401
    assert reasons(app, "login.failed") == ["unused"]
    assert services.users.must(ids["olga"]).state == "disabled"
    services.users.enable(ids["olga"])
    assert services.unused_accounts.disable() == 0
    assert Browser(app).log_in("olga", OWL).status_code == 303
    moving_clock.walk(80 * DAY)
    assert services.unused_accounts.found() == [ids["otto"]]
    with pytest.raises(NotDone):
        services.users.disable_unused(ids["olga"], int(moving_clock.at) - UNUSED_SECONDS)
    assert services.unused_accounts.disable() == 1
    states = {name: services.users.must(id_).state for name, id_ in ids.items()}
    assert states == {"olga": "active", "otto": "disabled"}
    assert services.users.must(customer).state == "active"
    assert "unused" in reasons(app, "user.state.changed")


@pytest.mark.spec("PCI DSS 4.0.1", "8.2.6")
def test_a_passkey_opens_no_account_that_was_left_for_ninety_days(app: Flask, moving_clock: Moving) -> None:
    olga, alice = staff(app), add_user(services_of(app), "alice")
    devices = {user_id: give_passkey(app, user_id) for user_id in (olga, alice)}
    moving_clock.walk(90 * DAY + 1)
    assert log_in(Browser(app), devices[olga]).status_code == 401
    assert services_of(app).users.must(olga).state == "disabled"
    assert "unused" in reasons(app, "webauthn.rejected")
    assert log_in(Browser(app), devices[alice]).status_code == 303


def test_who_is_in_a_group_of_a_like_name_is_no_staff(
    make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    app = make_app(staff_groups=("bank_staff",))
    services = services_of(app)
    carl = add_user(services, "carl")
    services.users.set_groups(carl, ["bank-staff"])
    moving_clock.walk(90 * DAY + 1)
    assert services.unused_accounts.found() == []


@pytest.mark.spec("PCI DSS 4.0.1", "8.2.8")
def test_staff_are_signed_out_after_a_quarter_of_an_hour_whatever_is_set(
    make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    app = make_app(session_idle=3600)
    staff(app)
    add_user(services_of(app), "alice")
    browsers = {name: Browser(app) for name in ("olga", "alice")}
    for name, browser in browsers.items():
        browser.log_in(name, OWL if name == "olga" else PASSWORD)
    moving_clock.walk(899)
    assert all(browser.get("/account").status_code == 200 for browser in browsers.values())
    moving_clock.walk(900)
    assert browsers["olga"].get("/account").location == "/login"
    assert browsers["alice"].get("/account").status_code == 200


def test_staff_with_a_passkey_have_no_use_of_a_password_where_so_set(make_app: Callable[..., Flask]) -> None:
    app = make_app(staff_passwords="passkey_only")
    services = services_of(app)
    olga = services.users.must(staff(app))
    # until there is one they need the password to add it
    assert services.password_rules.login_refused(olga) == ""
    give_passkey(app, olga.user_id)
    assert Browser(app).log_in("olga", OWL).status_code == 401
    assert reasons(app, "login.failed") == ["passkey_only"]
    # guessing goes on to be counted, and the fifth is told like any other
    for _ in range(4):
        Browser(app).log_in("olga", OWL)
    assert services.users.must(olga.user_id).locked_until is not None
    assert len(World(app, services).events("account.blocked")) == 1
    assert services.password_rules.fault(olga, NEW, NEW) == PASSKEY_ONLY
    alice = services.users.must(add_user(services, "alice"))
    assert services.password_rules.fault(alice, "too short", "too short") == too_short(15)


def test_a_changed_byte_of_the_breached_passwords_stops_the_start(
    breached: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = bytearray(breached.read_bytes())
    damaged[-1] ^= 1
    breached.write_bytes(damaged)
    values = {"BREACHED_PASSWORDS": breached, "DATABASE_URL": database_url, "INSTANCE_DIR": tmp_path}
    for name, value in (values | {"MASTER_KEYS": MASTER, "ISSUER": ISSUER}).items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", str(value))
    monkeypatch.setattr(serve, "server", lambda *_: pytest.fail("it serves"))
    for name in ("WORKERS", "THREADS"):
        monkeypatch.setenv(f"AUTHSERVER_{name}", "1")
    stopped = CliRunner().invoke(main, ["serve"])
    assert (stopped.exit_code, "has changed" in stopped.output) == (1, True)


def test_the_meter_has_its_words_and_no_rule(browser: Browser) -> None:
    browser.log_in()
    page = browser.get(FORM).text
    assert 'data-strength="new_password"' in page and "Easy to guess" in page
    assert page.count("<script") == 1 and "style=" not in page
