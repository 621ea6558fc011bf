"""What was proved a while ago is not made young by less; a password alone takes nothing from its owner."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from plugins.app import Moving
from plugins.factors import SECURITY, Enrolled, give_totp, prove
from plugins.passkeys import give_passkey, log_in
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import func, select, update

from authserver import acr
from authserver.app import services_of
from authserver.db import table_of
from authserver.models.outbox import Outbox
from authserver.models.person import ErasureRequest
from authserver.models.user import User

NEW = "seven brown foxes sleep"


@pytest.fixture
def enrolled(browser: Browser, moving_clock: Moving) -> Enrolled:
    user = services_of(browser.app).users.find("alice")
    assert user is not None
    given = give_totp(browser.app, user.user_id)
    moving_clock.walk(30)
    browser.log_in()
    prove(browser, given.app.code())
    return given


def grow_old(browser: Browser, clock: Moving) -> None:
    for _ in range(2):
        clock.walk(160)
        assert browser.get("/account").status_code == 200


def test_changing_the_password_needs_all_that_there_is_to_prove(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    page = browser.get("/account/password")
    grow_old(browser, moving_clock)
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert browser.submit(page, "/account/password", **fields).status_code == 403
    assert browser.get("/account/password").status_code == 403
    assert "Sign in once more" in browser.get(SECURITY).text


def test_a_changed_password_makes_an_older_proof_no_younger_and_forgives_no_guess(
    browser: Browser, enrolled: Enrolled, moving_clock: Moving
) -> None:
    services = services_of(browser.app)
    before = services.sessions.read(browser.cookie("sid"))
    moving_clock.walk(60)
    users = table_of(User)
    with services.database.writing() as connection:
        connection.execute(update(users).where(users.c.username == "alice").values(failures=3))
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert browser.submit(browser.get("/account/password"), "/account/password", **fields).status_code == 303
    after = services.sessions.read(browser.cookie("sid"))
    assert before is not None
    assert after is not None
    assert (after.acr, after.auth_time) == (acr.MFA, before.auth_time)
    alice = services.users.find("alice")
    assert alice is not None
    assert alice.failures == 3


def test_logins_that_wait_for_a_factor_end_no_session_that_has_it(
    make_app: Callable[..., Flask], moving_clock: Moving
) -> None:
    app = make_app(sessions_per_user=3)
    given = give_totp(app, add_user(services_of(app), "alice"))
    moving_clock.walk(30)
    owner = Browser(app)
    owner.log_in()
    prove(owner, given.app.code())
    for _ in range(5):
        moving_clock.walk(1)
        Browser(app).log_in()
    assert "Alice" in owner.get("/account").text


def test_a_passkey_is_use_of_an_account(make_app: Callable[..., Flask], moving_clock: Moving) -> None:
    app = make_app()
    services = services_of(app)
    olga = add_user(services, "olga")
    services.users.set_groups(olga, ["operators"])
    device = give_passkey(app, olga)
    for _ in range(3):
        moving_clock.walk(60 * 86_400)
        assert log_in(Browser(app), device).status_code == 303
    assert services.unused_accounts.disable() == 0


def test_many_mails_of_one_kind_keep_no_other_out(browser: Browser, enrolled: Enrolled) -> None:
    services = services_of(browser.app)
    alice = services.users.find("alice")
    assert alice is not None
    outbox = table_of(Outbox)
    values = {"device": "a browser"}
    with services.database.writing() as connection:
        queued = [
            services.mail.queue_in(connection, alice.user_id, "new_sign_in", values) for _ in range(120)
        ]
        assert not all(queued)
        assert services.mail.queue_in(connection, alice.user_id, "factor_added", {"factor": "x"})
        query = select(func.count()).select_from(outbox).where(outbox.c.template == "new_sign_in")
        assert connection.execute(query).scalar_one() < 120


def test_whoever_says_that_it_was_not_them_is_not_erased(browser: Browser, moving_clock: Moving) -> None:
    services = services_of(browser.app)
    browser.log_in()
    session = services.sessions.read(browser.cookie("sid"))
    assert session is not None
    assert services.erasure.request(session)
    services.recovery.start(session.user_id, 1)
    requests = table_of(ErasureRequest)
    with services.database.reading() as connection:
        assert connection.execute(select(requests)).first() is None


def test_whom_an_operator_disabled_is_not_erased_meanwhile(browser: Browser, moving_clock: Moving) -> None:
    services = services_of(browser.app)
    browser.log_in()
    session = services.sessions.read(browser.cookie("sid"))
    assert session is not None
    assert services.erasure.request(session)
    services.users.disable(session.user_id)
    assert not services.erasure.request(session)
    moving_clock.walk(30 * 86_400)
    assert services.erasure.carry_out() == 0
    services.users.enable(session.user_id)
    assert services.erasure.carry_out() == 1
