"""Links by which people set passwords: once, in time, and never by looking at them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from plugins.app import Moving, World
from plugins.people import PASSWORD, Browser, add_user

from authserver.app import services_of
from authserver.errors import Invalid
from authserver.services import Services

NEW = "seven brown foxes sleep"


@pytest.fixture
def bob(services: Services) -> str:
    """The user id of bob, who was invited."""
    return add_user(services, "bob", None)


def enrol(browser: Browser, token: str, password: str = NEW, again: str | None = None) -> int:
    page = browser.get(f"/enrol?token={token}")
    if page.status_code != 200:
        return page.status_code
    fields = {"password": password, "password_again": password if again is None else again}
    return browser.submit(page, "/enrol", **fields).status_code


def test_an_invited_person_sets_a_password_and_logs_in(app: Flask, services: Services, bob: str) -> None:
    token = services.links.make(bob, "enrol")
    browser = Browser(app)
    assert browser.log_in("bob", NEW).status_code == 401
    page = browser.get(f"/enrol?token={token}")
    assert 'autocomplete="new-password"' in page.text
    done = browser.submit(page, "/enrol", password=NEW, password_again=NEW)
    assert (done.status_code, done.location) == (303, "/login?notice=password_set")
    assert "Your password is set" in browser.get(str(done.location)).text
    assert browser.log_in("bob", NEW).status_code == 303
    assert enrol(browser, token) == 410


def test_looking_at_a_link_does_not_spend_it(app: Flask, services: Services, bob: str) -> None:
    token = services.links.make(bob, "enrol")
    for _ in range(3):
        assert Browser(app).get(f"/enrol?token={token}").status_code == 200
    assert enrol(Browser(app), token) == 303


def test_a_refused_password_does_not_spend_it_either(app: Flask, services: Services, bob: str) -> None:
    token = services.links.make(bob, "enrol")
    browser = Browser(app)
    assert enrol(browser, token, "short") == 400
    assert enrol(browser, token, "passwordpassword") == 400
    assert enrol(browser, token, "bob-authserver-1") == 400
    assert enrol(browser, token, "x" * 1025) == 400
    assert enrol(browser, token, NEW, NEW + "!") == 400
    rows = World(app, services).events("password.rejected")
    assert [row["reason"] for row in rows] == ["policy"] * 4
    assert enrol(browser, token) == 303


def test_of_twenty_who_use_a_link_at_once_one_does(app: Flask, services: Services, bob: str) -> None:
    token = services.links.make(bob, "enrol")

    def use(n: int) -> tuple[int, str]:
        browser, password = Browser(app), f"{NEW} number {n}"
        page = browser.get(f"/enrol?token={token}")
        if page.status_code != 200:
            return page.status_code, password
        return browser.submit(
            page, "/enrol", password=password, password_again=password
        ).status_code, password

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(use, range(20)))
    winners = [password for status, password in answers if status == 303]
    assert len(winners) == 1
    assert {status for status, _ in answers} <= {303, 410}
    assert Browser(app).log_in("bob", winners[0]).status_code == 303
    assert len(World(app, services).events("password.changed")) == 1


def test_links_end_in_time(app: Flask, services: Services, bob: str, moving_clock: Moving) -> None:
    token = services.links.make(bob, "enrol")
    moving_clock.walk(7 * 86_400 - 1)
    assert Browser(app).get(f"/enrol?token={token}").status_code == 200
    moving_clock.walk(1)
    assert enrol(Browser(app), token) == 410
    alice = add_user(services, "alice")
    token = services.links.make(alice, "reset")
    moving_clock.walk(1800)
    assert enrol(Browser(app), token) == 410


def test_a_new_link_ends_the_one_before(app: Flask, services: Services, bob: str) -> None:
    first, second = services.links.make(bob, "enrol"), services.links.make(bob, "enrol")
    assert enrol(Browser(app), first) == 410
    assert enrol(Browser(app), second) == 303


@pytest.mark.spec("ASVS 5.0", "7.4.3")
def test_a_reset_ends_what_was_logged_in_and_unlocks(app: Flask, services: Services, alice: str) -> None:
    browser = Browser(app)
    browser.log_in()
    for _ in range(5):
        Browser(app).log_in(password="wrong")
    token = services.links.make(alice, "reset")
    assert browser.get("/account").status_code == 200
    assert enrol(Browser(app), token) == 303
    assert browser.get("/account").location == "/login"
    assert browser.log_in(password=PASSWORD).status_code == 401
    assert browser.log_in(password=NEW).status_code == 303


def test_a_disabled_person_has_no_link(app: Flask, services: Services, alice: str) -> None:
    token = services.links.make(alice, "reset")
    services.users.disable(alice)
    assert enrol(Browser(app), token) == 410
    assert services.links.redeem(token, "hash") is None
    with pytest.raises(Invalid):
        services.links.make(alice, "reset")


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "%00", "x" * 5000, "%FF", "'%20OR%201=1"])
def test_what_is_no_link_is_told_so(app: Flask, token: str) -> None:
    answer = Browser(app).get(f"/enrol?token={token}")
    assert (answer.status_code, answer.mimetype) == (410, "text/html")


def test_the_token_rests_as_a_digest_and_is_in_no_log(
    app: Flask, services: Services, bob: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        token = services.links.make(bob, "enrol")
        assert enrol(Browser(app), token) == 303
    with services.database.reading() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM user_link").all())
    assert token not in stored + caplog.text + repr(World(app, services).events())


def test_forged_hosts_do_not_reach_a_link(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    browser = Browser(app)
    answer = browser.client.get("/login", base_url="http://evil.example")
    assert answer.status_code == 400
    for name in ("X-Forwarded-Host", "Forwarded", "X-Original-URL", "X-Forwarded-Proto"):
        add_user(services_of(app), f"user-{name.lower()}")
        answer = Browser(app).get("/account", **{name.replace("-", "_"): "evil.example"})
        assert (answer.status_code, answer.location) == (303, "/login")
