"""Sessions: new at each login, over in time, ended for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import Asking, answer, decide, start
from flask import Flask
from plugins.app import Moving, World
from plugins.people import PASSWORD, Browser, add_user, hidden_fields

from authserver.app import services_of
from authserver.services import Services

MakeBrowser = Callable[..., Browser]


def events(browser: Browser, name: str) -> list[str]:
    return [row["reason"] for row in World(browser.app, services_of(browser.app)).events(name)]


def logged_in(browser: Browser) -> bool:
    answer = browser.get("/account")
    assert answer.status_code == 200 or answer.location == "/login"
    return answer.status_code == 200


@pytest.mark.spec("ASVS 5.0", "7.2.4")
def test_a_planted_session_is_worth_nothing_after_a_login(
    browser: Browser, make_browser: MakeBrowser, services: Services
) -> None:
    add_user(services, "mallory")
    mallory = make_browser()
    mallory.log_in("mallory")
    planted = mallory.cookie("sid")
    assert planted
    browser.set_cookie("sid", planted)
    page = browser.get(f"/login?request={'r' * 43}")
    answer = browser.submit(page, "/login", username="alice", password=PASSWORD)
    assert answer.status_code == 303
    assert browser.cookie("sid") != planted
    assert "Alice" in browser.get("/account").text
    assert not logged_in(mallory)
    assert events(browser, "session.rotated") == ["other_user"]
    assert events(browser, "session.created") == ["", ""]


@pytest.mark.parametrize("planted", ["x" * 43, "x", "", "x" * 4000, "\u00e9" * 43])
def test_a_value_that_the_server_never_gave_is_not_kept(browser: Browser, planted: str) -> None:
    browser.set_cookie("sid", planted)
    assert not logged_in(browser)
    browser.log_in()
    assert browser.cookie("sid") != planted
    assert logged_in(browser)


def test_logging_in_again_keeps_the_session_under_a_new_cookie(
    browser: Browser, services: Services, alice: str
) -> None:
    browser.log_in()
    (first,) = services.sessions.list(alice)
    cookie = browser.cookie("sid")
    assert cookie
    browser.log_in(request="r" * 43)
    (second,) = services.sessions.list(alice)
    assert (first.sid, first.digest != second.digest) == (second.sid, True)
    assert services.sessions.read(cookie) is None
    assert logged_in(browser)
    assert events(browser, "session.rotated") == [""]


@pytest.mark.spec("PSD2 RTS", "4(3)(d)")
def test_five_minutes_without_activity_end_it(browser: Browser, moving_clock: Moving) -> None:
    browser.log_in()
    for _ in range(10):
        moving_clock.walk(260)
        assert logged_in(browser)
    moving_clock.walk(301)
    assert not logged_in(browser)
    assert not logged_in(browser)
    assert events(browser, "session.expired") == ["idle"]
    assert browser.log_in().status_code == 303
    assert logged_in(browser)


def test_activity_is_noted_at_most_twice_a_minute_and_never_late(
    browser: Browser, moving_clock: Moving
) -> None:
    browser.log_in()
    moving_clock.walk(29)
    assert logged_in(browser)  # not noted: the session ends 300 seconds after the login
    moving_clock.walk(270)
    assert logged_in(browser)  # noted
    moving_clock.walk(299)
    assert logged_in(browser)
    moving_clock.walk(300)
    assert not logged_in(browser)


def test_twelve_hours_end_it_whatever_is_done(browser: Browser, moving_clock: Moving) -> None:
    browser.log_in()
    for _ in range(12 * 3600 // 200):
        assert logged_in(browser)
        moving_clock.walk(200)
    assert not logged_in(browser)
    assert events(browser, "session.expired") == ["absolute"]


def test_signing_out_ends_it_for_good(browser: Browser) -> None:
    browser.log_in()
    cookie = browser.cookie("sid")
    assert cookie
    page = browser.get("/logout")
    assert logged_in(browser)  # the question changed nothing
    assert browser.submit(page, "/logout").status_code == 200
    assert browser.cookie("sid") is None
    browser.set_cookie("sid", cookie)
    assert not logged_in(browser)
    assert not logged_in(browser)
    assert events(browser, "logout.done") == ["logout"]
    assert events(browser, "session.rejected") == ["ended"]
    # and a login in that browser does not bring it back
    browser.log_in()
    assert events(browser, "session.created") == ["", ""]


def test_signing_out_after_an_idle_time_ends_what_was_opened_too(
    asking: Asking, moving_clock: Moving
) -> None:
    browser = asking.browser(logged_in=True)
    tokens = asking.redeem(answer(decide(browser, start(browser)))["code"]).json
    page = browser.get("/logout")
    moving_clock.walk(310)
    # whoever asks is not told that they are signed out while something is open
    assert "Sign out?" in browser.get("/logout").text
    assert not logged_in(browser)
    assert "Sign out?" in browser.get("/logout").text
    assert "You are signed out" in browser.submit(page, "/logout").text
    assert asking.reasons("logout.done") == ["logout"]
    assert asking.reasons("token.family.revoked") == ["logout"]
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert asking.world.post("/token", as_="shop", form=form).status_code == 400
    assert "You are signed out" in browser.get("/logout").text


def test_an_idle_session_that_carries_something_is_ended_from_elsewhere(
    asking: Asking, moving_clock: Moving
) -> None:
    browser, bare = asking.browser(logged_in=True), asking.browser(logged_in=True)
    tokens = asking.redeem(answer(decide(browser, start(browser)))["code"]).json
    moving_clock.walk(310)
    assert not logged_in(browser)
    other = asking.browser(logged_in=True)
    page = other.get("/account/sessions")
    # one that carries nothing is nobody's concern any more
    assert page.text.count("Not active now") == page.text.count('action="/account/sessions/end"') == 1
    assert not logged_in(bare)
    assert other.submit(page, "/account/sessions/end").status_code == 303
    assert "Not active now" not in other.get("/account/sessions").text
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert asking.world.post("/token", as_="shop", form=form).status_code == 400


@pytest.mark.spec("ASVS 5.0", "7.4.2")
def test_a_disabled_persons_session_is_dead_at_once(
    browser: Browser, services: Services, alice: str, make_app: Callable[..., Flask]
) -> None:
    browser.log_in()
    other = Browser(make_app())
    other.set_cookie("sid", str(browser.cookie("sid")))
    assert logged_in(other)
    services.users.disable(alice)
    services_of(other.app).versions.forget()
    assert not logged_in(browser)
    assert not logged_in(other)
    assert events(browser, "session.rejected") == ["user_disabled"]
    assert events(browser, "session.revoked") == ["user_disabled"]
    services.users.enable(alice)
    assert not logged_in(browser)
    assert browser.log_in().status_code == 303


def test_a_session_that_began_as_the_person_was_disabled_is_dead_too(
    browser: Browser, services: Services, alice: str
) -> None:
    browser.log_in()
    from sqlalchemy import update

    from authserver.cache import raise_version
    from authserver.users.registry import users

    # as if the row had been missed: the person's state decides, not the session's alone
    with services.database.writing() as connection:
        version = raise_version(connection, "users")
        connection.execute(update(users).values(state="disabled", version=version))
    services.versions.forget()
    assert not logged_in(browser)


def test_the_twenty_first_session_ends_the_oldest(
    browser: Browser, make_browser: MakeBrowser, services: Services, alice: str, moving_clock: Moving
) -> None:
    browser.log_in()
    others = []
    for _ in range(20):
        moving_clock.walk(1)
        others.append(make_browser())
        others[-1].log_in()
    assert len(services.sessions.list(alice)) == 20
    assert not logged_in(browser)
    assert all(logged_in(other) for other in others)
    assert events(browser, "session.limit") == ["oldest_ended"]


def test_a_person_sees_their_sessions_and_ends_one(browser: Browser, make_browser: MakeBrowser) -> None:
    browser.log_in()
    other = make_browser(address="203.0.113.9")
    other.log_in()
    page = browser.get("/account/sessions")
    # roughly where, and no more
    assert "From addresses 203.0.113.0/24" in page.text
    assert "203.0.113.9" not in page.text
    assert "This browser" in page.text
    done = browser.submit(page, "/account/sessions/end")
    assert done.location == "/account/sessions?notice=session_ended"
    assert "That session has ended." in browser.get(done.location).text
    assert not logged_in(other)
    assert logged_in(browser)
    assert events(browser, "session.revoked") == ["by_user"]


@pytest.mark.spec("ASVS 5.0", "7.5.2")
def test_nobody_ends_the_session_of_somebody_else(
    browser: Browser, make_browser: MakeBrowser, services: Services, alice: str
) -> None:
    add_user(services, "mallory")
    browser.log_in()
    (session,) = services.sessions.list(alice)
    mallory, second = make_browser(), make_browser()
    mallory.log_in("mallory")
    second.log_in("mallory")
    page = mallory.get("/account/sessions")
    assert session.sid not in page.text
    fields = hidden_fields(page.text, "/account/sessions/end") | {"sid": session.sid}
    assert mallory.post("/account/sessions/end", fields).status_code == 404
    assert logged_in(browser)


def test_a_page_costs_one_read_of_the_session(browser: Browser, services: Services) -> None:
    from test_query_budgets import statements

    browser.log_in()
    browser.get("/logout")
    with statements(services) as seen:
        assert browser.get("/logout").status_code == 200
    assert [s for s in seen if "cache_version" not in s] == ["SELECT session.sid, session.user_id FROM"]


@pytest.mark.parametrize("path", ["/account/sessions", "/account/activity", "/logout"])
def test_user_agents_and_names_are_text(browser: Browser, services: Services, alice: str, path: str) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'"
    page = browser.get("/login")
    browser.post(
        "/login",
        hidden_fields(page.text, "/login") | {"username": "alice", "password": PASSWORD},
        User_Agent=hostile,
    )
    assert "<img src=x" not in browser.get(path).text


def test_the_sign_in_page_says_that_a_session_is_over(
    browser: Browser, services: Services, alice: str, moving_clock: Moving
) -> None:
    idle, ended = "after a while without activity", "no longer signed in here"
    browser.log_in()
    assert idle not in browser.get(f"/login?request={'r' * 43}").text
    moving_clock.walk(301)
    assert f"{idle}. Nothing was changed." in browser.get("/login").text
    browser.log_in()
    services.sessions.end_all(alice, "by_user")
    text = browser.get("/login").text
    assert ended in text
    assert idle not in text
    # who holds no cookie is told nothing
    browser.set_cookie("sid", "")
    text = browser.get("/login").text
    assert idle not in text
    assert ended not in text
