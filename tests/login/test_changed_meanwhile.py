"""What became otherwise between look and write: nothing of the change is left, and nobody waits for ever."""

from __future__ import annotations

import json
import threading

import pytest
from flask import Flask
from plugins.passkeys import give_passkey
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import update

from authserver.app import services_of
from authserver.db import table_of
from authserver.login import Browser as Asking
from authserver.login.session import SessionView
from authserver.login.webauthn import Ceremony, Purpose
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
