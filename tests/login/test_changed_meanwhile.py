"""What became otherwise between look and write: nothing of the change is left, and nobody waits for ever."""

from __future__ import annotations

import json
import threading

import pytest
from flask import Flask
from plugins.factors import give_totp
from plugins.passkeys import give_passkey
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import Connection, update

from authserver import acr, crypto
from authserver.app import services_of
from authserver.db import table_of
from authserver.login import Browser as Asking
from authserver.login import Factors
from authserver.login.device_trust import DeviceTrust
from authserver.login.session import SessionView
from authserver.login.webauthn import Ceremony, Purpose
from authserver.models.person import EmailChange
from authserver.models.user import User
from authserver.services import Services

users = table_of(User)
NEW = "seven brown foxes sleep"
LATER = 2**40


@pytest.fixture
def services(app: Flask) -> Services:
    return services_of(app)


@pytest.fixture
def alice(services: Services) -> str:
    return add_user(services, "alice")


@pytest.fixture
def browser(app: Flask, alice: str) -> Browser:
    held = Browser(app)
    assert held.log_in().status_code == 303
    return held


def session_of(services: Services, browser: Browser) -> SessionView:
    session = services.sessions.read(browser.cookie("sid"))
    assert session is not None
    return session


def change(services: Services, browser: Browser) -> str | None:
    asking = Asking("", "", browser.cookie("sid"))
    return services.password_change.change(session_of(services, browser), PASSWORD, NEW, asking)


def test_a_passkey_that_was_flagged_meanwhile_unlocks_nobody(
    app: Flask, services: Services, alice: str, browser: Browser
) -> None:
    device, session = give_passkey(app, alice), session_of(services, browser)
    ceremony = Ceremony(Purpose.MFA, session.sid, alice)
    assertions = services.passkeys.assertions
    assertion = assertions.verify(json.dumps(device.sign(assertions.options(ceremony))), ceremony)
    assert assertion is not None
    with services.database.writing() as connection:
        connection.execute(update(users).values(failures=5, locked_until=LATER))
        services.passkeys.credentials.flag_in(connection, assertion.credential_id)
    assert services.mfa.prove_by_passkey(session, assertion, "") is None
    assert services.users.must(alice).locked_until == LATER
    assert services.sessions.read(browser.cookie("sid")) == session


def test_a_password_that_became_another_meanwhile_ends_no_session(
    services: Services, alice: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = services.password_change._hasher
    usual = hasher.hash

    def slow(password: str) -> str:
        with services.database.writing() as connection:
            connection.execute(update(users).values(password_hash=usual(PASSWORD)))
        return usual(password)

    monkeypatch.setattr(hasher, "hash", slow)
    assert change(services, browser) is None
    assert services.sessions.read(browser.cookie("sid")) is not None


def test_whose_factors_an_operator_takes_away_meanwhile_has_no_codes_that_a_stranger_made(
    app: Flask, services: Services, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_totp(app, alice)
    cookie = services.sessions.start(alice, acr=acr.MFA, amr=("pwd", "otp", "mfa"))
    stolen = services.sessions.read(cookie)
    assert stolen is not None
    usual = services.mfa.factors

    def read(user_id: str) -> Factors:
        found = usual(user_id)
        monkeypatch.undo()
        assert services.factor_changes.reset(user_id)
        return found

    monkeypatch.setattr(services.mfa, "factors", read)
    assert services.factor_changes.renew_codes(stolen) is None
    # the person gets codes of their own
    assert len(give_totp(app, alice).codes) == 10


def test_a_change_beside_another_of_the_same_person_waits_and_ends(
    services: Services, alice: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, failed = services.sessions.rise_in, list[BaseException]()

    def operator() -> None:
        try:
            services.users.set_groups(alice, ["auditors"])
        except BaseException as error:
            failed.append(error)

    beside = threading.Thread(target=operator)

    def rise(*arguments: object) -> object:
        risen = usual(*arguments)  # type: ignore[arg-type]
        beside.start()
        # long enough for the other to hold what it takes first
        beside.join(0.5)
        return risen

    monkeypatch.setattr(services.sessions, "rise_in", rise)
    assert change(services, browser) is not None
    beside.join(30)
    assert not failed
    assert services.users.must(alice).groups == ("auditors",)


def test_factors_are_taken_away_beside_the_person_who_says_that_it_was_not_they(
    app: Flask, services: Services, alice: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_totp(app, alice)
    usual, failed = DeviceTrust.forget_all_in, list[BaseException]()

    def operator() -> None:
        try:
            services.factor_changes.reset(alice)
        except BaseException as error:
            failed.append(error)

    beside = threading.Thread(target=operator)

    def forget(connection: Connection, user_id: str) -> None:
        if threading.current_thread() is not beside:
            beside.start()
            # long enough for the other to hold what it takes first
            beside.join(0.5)
        usual(connection, user_id)

    monkeypatch.setattr(DeviceTrust, "forget_all_in", staticmethod(forget))
    services.recovery.start(alice, 1)
    beside.join(30)
    assert not failed
    assert not services.mfa.factors(alice).strong


def test_an_address_is_confirmed_beside_the_erasure_of_the_person(
    services: Services, alice: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, failed = session_of(services, browser), list[BaseException]()
    assert not services.email_changes.request(session, "new@example.net")
    with services.database.writing() as connection:
        connection.execute(update(table_of(EmailChange)).values(digest=crypto.digest("token")))

    def operator() -> None:
        try:
            services.erasure.erase(alice)
        except BaseException as error:
            failed.append(error)

    beside, usual = threading.Thread(target=operator), services.contacts.set_email_in

    def set_email(connection: Connection, user_id: str, email: str) -> None:
        beside.start()
        # long enough for the other to hold what it takes first
        beside.join(0.5)
        usual(connection, user_id, email)

    monkeypatch.setattr(services.contacts, "set_email_in", set_email)
    services.email_changes.confirm(session, "token", elsewhere=False)
    beside.join(30)
    assert not failed
    erased = services.users.must(alice)
    assert (erased.state, erased.email) == ("erased", None)
