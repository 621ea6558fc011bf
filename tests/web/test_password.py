"""Changing a password: the current one counts as an attempt, and everything from before has ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from asking import Asking, answer, decide, start
from flask import Flask
from plugins.app import Moving, World
from plugins.people import PASSWORD, Browser, add_user
from sqlalchemy import event
from werkzeug.test import TestResponse

from authserver.app import services_of
from authserver.login.breached import build
from authserver.services import Services
from authserver.users import LOCK_SECONDS

FORM = "/account/password"
NEW = "seven brown foxes sleep"


@pytest.fixture
def signed_in(browser: Browser) -> Browser:
    browser.log_in()
    return browser


def change(
    browser: Browser, current: str = PASSWORD, new: str = NEW, again: str | None = None
) -> TestResponse:
    page = browser.get(FORM)
    assert page.status_code == 200
    again = new if again is None else again
    return browser.submit(page, FORM, password=current, new_password=new, new_password_again=again)


def reasons(browser: Browser, name: str) -> list[str]:
    return [row["reason"] for row in World(browser.app, services_of(browser.app)).events(name)]


@pytest.mark.spec("ASVS 5.0", "6.2.3")
@pytest.mark.spec("ASVS 5.0", "7.4.3")
def test_a_new_password_ends_everything_but_this_browser(asking: Asking) -> None:
    other, browser = asking.browser(logged_in=True), asking.browser(logged_in=True)
    scope = "openid accounts:read"
    codes = [
        answer(decide(other, start(other, scope=f"{scope} offline_access")))["code"],
        # allowed before, so not asked again
        answer(start(browser, scope=scope))["code"],
    ]
    tokens = [asking.redeem(code).json for code in codes]
    link = asking.world.services.links.make(asking.alice, "reset")
    before = browser.cookie("sid"), browser.cookie("csrf")
    done = change(browser)
    assert (done.status_code, done.location) == (303, "/account?notice=password_changed")
    after = browser.cookie("sid"), browser.cookie("csrf")
    assert not set(before) & set(after)
    assert "Your password is changed" in browser.get(str(done.location)).text
    # the others, whoever has them: sessions, tokens, links, and this browser's own old cookie
    assert other.get("/account").location == "/login"
    thief = asking.browser()
    thief.set_cookie("sid", str(before[0]))
    assert thief.get("/account").location == "/login"
    for body in tokens:
        form = {"token": body["access_token"]}
        assert asking.world.post("/introspect", as_="rs_accounts", form=form).json == {"active": False}
        form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        assert asking.world.post("/token", as_="shop", form=form).status_code == 400
    assert asking.browser().get(f"/enrol?token={link}").status_code == 410
    assert asking.browser().log_in(password=PASSWORD).status_code == 401
    assert asking.browser().log_in(password=NEW).status_code == 303
    (row,) = asking.events("password.changed")[1:]
    assert (row["user_id"], row["actor"]) == (asking.alice, f"user:{asking.alice}")
    assert set(asking.reasons("session.revoked")) == {"password_changed"}


def test_without_the_current_password_nothing_changes(signed_in: Browser) -> None:
    for wrong in ("not this one", "", PASSWORD + " ", PASSWORD.upper(), "x" * 2000):
        refused = change(signed_in, wrong)
        assert refused.status_code == 403
        assert "Nothing was changed" in refused.text
        assert wrong == "" or wrong not in refused.text
    # what no password can be costs no attempt
    assert reasons(signed_in, "password.rejected") == ["bad_password"] * 5
    assert Browser(signed_in.app).log_in().status_code == 303
    assert signed_in.get("/account").status_code == 200


@pytest.mark.spec("PSD2 RTS", "4(3)(b)")
def test_an_open_session_gives_five_guesses_and_then_blocks(
    signed_in: Browser, moving_clock: Moving, services: Services, alice: str
) -> None:
    moving_clock.walk(1)
    signed_in.log_in()
    assert [change(signed_in, f"wrong {n}").status_code for n in range(5)] == [403] * 5
    assert services.users.must(alice).failures == 5
    # the right one is worth nothing now, neither here nor at a login
    assert change(signed_in).status_code == 403
    assert Browser(signed_in.app).log_in().status_code == 401
    assert reasons(signed_in, "password.rejected") == ["bad_password"] * 5 + ["blocked"]
    assert reasons(signed_in, "account.blocked") == ["five_failures"]
    moving_clock.walk(LOCK_SECONDS)
    signed_in.log_in()
    assert change(signed_in).status_code == 303
    assert services.users.must(alice).failures == 0


def test_guesses_here_and_at_the_login_are_counted_together(signed_in: Browser) -> None:
    for n in range(3):
        change(signed_in, f"wrong {n}")
    for n in range(2):
        Browser(signed_in.app).log_in(password=f"wrong {n}")
    assert reasons(signed_in, "account.blocked") == ["five_failures"]
    assert change(signed_in).status_code == 403


def test_twenty_guesses_at_once_are_five(signed_in: Browser) -> None:
    page = signed_in.get(FORM)
    tabs = []
    for _ in range(20):
        tab = Browser(signed_in.app)
        for name in ("sid", "csrf"):
            tab.set_cookie(name, str(signed_in.cookie(name)))
        tabs.append(tab)

    def guess(n: int) -> int:
        fields = {"password": f"wrong {n}", "new_password": NEW, "new_password_again": NEW}
        return tabs[n].submit(page, FORM, **fields).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(guess, range(20))) == {403}
    assert sorted(reasons(signed_in, "password.rejected")) == ["bad_password"] * 5 + ["blocked"] * 15


def test_of_several_changes_at_once_one_holds(signed_in: Browser, services: Services, alice: str) -> None:
    page = signed_in.get(FORM)
    tabs = []
    for _ in range(4):
        tab = Browser(signed_in.app)
        for name in ("sid", "csrf"):
            tab.set_cookie(name, str(signed_in.cookie(name)))
        tabs.append(tab)

    def go(n: int) -> bool:
        new = f"{NEW} number {n}"
        fields = {"password": PASSWORD, "new_password": new, "new_password_again": new}
        done = tabs[n].submit(page, FORM, **fields)
        # whoever comes when the session has ended is sent to sign in
        assert done.status_code == 403 or done.location in ("/login", "/account?notice=password_changed")
        return done.location == "/account?notice=password_changed"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(go, range(4)))
    assert answers.count(True) == 1
    winner = answers.index(True)
    assert len(reasons(signed_in, "password.changed")) == 2
    assert len(services.sessions.list(alice)) == 1
    assert tabs[winner].get("/account").status_code == 200
    assert Browser(signed_in.app).log_in(password=f"{NEW} number {winner}").status_code == 303


@pytest.mark.parametrize("meanwhile", ["disabled", "reset"])
def test_what_changed_while_the_hash_was_made_wins(
    signed_in: Browser, services: Services, alice: str, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    hasher = services.password_change._hasher
    real = hasher.verify
    other = "nine green frogs sing"

    def slow(hash_: str | None, password: str) -> bool:
        fits = real(hash_, password)
        if meanwhile == "disabled":
            services.users.disable(alice)
        else:
            assert services.links.redeem(services.links.make(alice, "reset"), hasher.hash(other))
        return fits

    page = signed_in.get(FORM)
    with monkeypatch.context() as patched:
        patched.setattr(hasher, "verify", slow)
        fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
        assert signed_in.submit(page, FORM, **fields).status_code == 403
    assert reasons(signed_in, "password.rejected") == ["changed_meanwhile"]
    assert services.sessions.list(alice) == []
    assert Browser(signed_in.app).log_in(password=NEW).status_code == 401
    if meanwhile == "reset":
        assert Browser(signed_in.app).log_in(password=other).status_code == 303


@pytest.mark.spec("ASVS 5.0", "6.2.4")
@pytest.mark.parametrize(
    ("new", "again"),
    [
        ("short", None),
        ("passwordpassword", None),
        ("alice-authserver-1", None),
        ("x" * 1025, None),
        (NEW, NEW + "!"),
        (NEW, ""),
        (PASSWORD, None),
        ("", None),
    ],
)
def test_a_new_password_that_may_not_be_costs_no_attempt(
    signed_in: Browser, services: Services, alice: str, new: str, again: str | None
) -> None:
    for current in (PASSWORD, "wrong"):
        refused = change(signed_in, PASSWORD if new == PASSWORD else current, new, again)
        assert refused.status_code == 400
        assert 'role="alert"' in refused.text
    assert services.users.must(alice).failures == 0
    assert len(reasons(signed_in, "password.changed")) == 1
    assert signed_in.get("/account").status_code == 200


def test_who_is_not_signed_in_is_sent_to_sign_in(browser: Browser, app: Flask) -> None:
    assert browser.get(FORM).location == "/login"
    browser.log_in()
    page = browser.get(FORM)
    browser.submit(browser.get("/logout"), "/logout")
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert browser.submit(page, FORM, **fields).status_code == 403
    assert browser.get(f"{FORM}?password={NEW}".replace(" ", "+")).location == "/login"


def test_the_form_of_another_purpose_or_site_changes_nothing(signed_in: Browser) -> None:
    page = signed_in.get(FORM)
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    foreign = signed_in.get("/account/sessions").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
    assert signed_in.submit(page, FORM, **fields, csrf=foreign).status_code == 403
    assert signed_in.post(FORM, fields).status_code == 403
    assert len(reasons(signed_in, "password.changed")) == 1
    assert signed_in.submit(page, FORM, **fields).status_code == 303


def test_a_full_queue_counts_no_attempt(signed_in: Browser, services: Services, alice: str) -> None:
    with ExitStack() as stack:
        for _ in range(34):
            stack.enter_context(services.password_change._hasher.place())
        busy = change(signed_in)
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert services.users.must(alice).failures == 0
    assert change(signed_in).status_code == 303


def test_tries_are_limited_for_an_address_as_at_the_login(make_world: object) -> None:
    world = make_world(limit_login_address="3/300")  # type: ignore[operator]
    from plugins.people import add_user

    add_user(world.services, "alice")
    browser = Browser(world.app)
    browser.log_in()
    assert [change(browser, f"wrong {n}").status_code for n in range(4)] == [403, 403, 403, 429]
    assert Browser(world.app).log_in().status_code == 429


def test_no_hash_is_made_while_a_transaction_is_open(
    signed_in: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher, engine = services.password_change._hasher, services.database.engine
    open_, seen = set(), []

    def begun(connection: object) -> None:
        open_.add(id(connection))

    def over(connection: object) -> None:
        open_.discard(id(connection))

    for name, listener in (("begin", begun), ("commit", over), ("rollback", over)):
        event.listen(engine, name, listener)
    for name in ("verify", "hash"):
        real = getattr(hasher, name)

        def noted(*arguments: object, real: object = real) -> object:
            seen.append(len(open_))
            return real(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(hasher, name, noted)
    assert change(signed_in).status_code == 303
    assert seen == [0, 0]


def test_a_password_that_became_known_is_changed_before_anything_opens(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(PASSWORD)
    build(tmp_path / "list", tmp_path / "breached.bin", plain=True)
    app = make_app(breached_passwords=tmp_path / "breached.bin")
    add_user(services_of(app), "alice")
    browser = Browser(app)
    assert browser.log_in().location == "/account"
    assert browser.get("/account").location == "/mfa"
    assert browser.get("/mfa").location == "/account/password"
    page = browser.get("/account/password")
    assert "became known" in page.text

    def choose(new: str) -> TestResponse:
        given = {"password": PASSWORD, "new_password": new, "new_password_again": new}
        return browser.submit(page, "/account/password", **given)

    assert choose(PASSWORD).status_code == 400
    assert browser.get("/account").location == "/mfa"
    assert browser.cookie("device") is None
    assert choose("three green kettles sing").location == "/account?notice=password_changed"
    assert browser.cookie("device") is not None
    assert "Alice" in browser.get("/account").text
