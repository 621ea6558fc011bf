"""The login page: what it answers, what it sets, and how often it lets anybody try."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from plugins.app import World
from plugins.people import PASSWORD, Browser, add_user, hidden_fields

from authserver.app import services_of
from authserver.services import Services

REQUEST = "r" * 43


def world_of(app: Flask) -> World:
    return World(app, services_of(app))


def test_a_person_logs_in_and_goes_home(browser: Browser) -> None:
    answer = browser.log_in()
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Alice" in browser.get("/account").text
    # who is logged in and only looks at the form goes home
    assert browser.get("/login").location == "/account"


def test_a_person_goes_on_to_the_request_they_came_with(browser: Browser) -> None:
    answer = browser.log_in(request=REQUEST)
    assert (answer.status_code, answer.location) == (303, f"/authorize/resume?request={REQUEST}")
    # a request may ask somebody who is logged in to log in again
    assert browser.get(f"/login?request={REQUEST}").status_code == 200


@pytest.mark.parametrize("request_id", ["//evil.example", "../x", "r" * 42, "r" * 44, "r" * 42 + "&"])
def test_what_cannot_be_a_request_leads_nowhere(browser: Browser, request_id: str) -> None:
    page = browser.get("/login", **{})
    answer = browser.submit(page, "/login", username="alice", password=PASSWORD, request=request_id)
    assert (answer.status_code, answer.location) == (303, "/account")


@pytest.mark.spec("ASVS 5.0", "3.3")
def test_cookies_over_https_are_bound_to_the_host(make_app: Callable[..., Flask]) -> None:
    app = make_app(issuer="https://auth.example.com", profile="production", argon2_time_cost=3)
    add_user(services_of(app), "alice")
    browser = Browser(app)
    page = browser.get("/login")
    (csrf,) = page.headers.getlist("Set-Cookie")
    assert re.fullmatch(r"__Host-csrf=[\w-]{43}; Secure; HttpOnly; Path=/; SameSite=Lax", csrf)
    answer = browser.submit(page, "/login", username="alice", password=PASSWORD)
    session, device, renewed = answer.headers.getlist("Set-Cookie")
    assert re.fullmatch(r"__Host-sid=[\w-]{43}; Secure; HttpOnly; Path=/; SameSite=Lax", session)
    assert re.fullmatch(
        r"__Host-device=[\w.-]{69}; Expires=[^;]+; Max-Age=7776000; Secure; HttpOnly; Path=/; SameSite=Lax",
        device,
    )
    assert renewed != csrf
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_cookies_of_a_loopback_issuer_have_plain_names(browser: Browser) -> None:
    for cookie in browser.log_in().headers.getlist("Set-Cookie"):
        lasting = re.sub(r"^(device=[\w.-]{69}); Expires=[^;]+; Max-Age=7776000;", r"\1;", cookie)
        kept = r"(sid=[\w-]{43}|csrf=[\w-]{43}|device=[\w.-]{69}); HttpOnly; Path=/; SameSite=Lax"
        assert re.fullmatch(kept, lasting)


def test_pages_carry_their_headers(browser: Browser) -> None:
    for path in ("/", "/login", "/logout", "/enrol", "/nowhere"):
        headers = browser.get(path, Accept="text/html").headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith(
            "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
        )
        # the form of the login page may end at a client's address
        assert ("form-action 'self'" in policy) == (path != "/login")
        assert headers["Cache-Control"] == "no-store"
        assert "Cookie" in headers["Vary"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(browser: Browser) -> None:
    browser.log_in()
    for path in ("/", f"/login?request={REQUEST}", "/logout", "/account", "/enrol", "/nowhere"):
        text = browser.get(path, Accept="text/html").text
        assert not re.search(r'(?:src|href|action)="(?:[a-z]+:)?//(?!localhost:8000/)', text)
        assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|javascript:", text)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_the_form_logs_nobody_in(browser: Browser, method: str) -> None:
    answer = browser._open(method, f"/login?username=alice&password={PASSWORD}".replace(" ", "+"), {})
    assert answer.status_code == 400
    assert PASSWORD not in answer.text
    assert answer.headers.getlist("Set-Cookie") == []
    (row,) = world_of(browser.app).events("http.rejected")
    assert (row["reason"], row["resource"]) == ("password_in_url", f"{method} /login")


def test_a_form_that_is_none_is_refused_as_a_page(browser: Browser) -> None:
    page = browser.get("/login")
    fields = hidden_fields(page.text, "/login") | {"username": "alice", "password": PASSWORD}
    for content_type in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        answer = browser.post("/login", b"{}", **{"Content-Type": content_type})
        assert (answer.status_code, answer.mimetype) == (415, "text/html"), content_type
    doubled = "&".join(f"{k}={v}" for k, v in fields.items()).replace(" ", "+") + "&username=bob"
    assert browser.post("/login", doubled.encode()).status_code == 400
    assert browser.post("/login", b"username=%ff&" + doubled.encode()).status_code == 400
    assert browser.post("/login", b"username=" + b"a" * 70_000).status_code == 413
    assert browser.cookie("sid") is None


def test_a_password_is_in_no_log(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        browser.log_in(password="never-in-a-log-1")
        browser.log_in(username="never-in-a-log-2")
    rows = world_of(browser.app).events()
    assert "never-in-a-log" not in caplog.text + repr(rows)


def test_one_address_gets_twenty_failures_also_at_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(limit_login_address="20/300")
    browsers = [Browser(app) for _ in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda b: b.log_in("ghost").status_code, browsers))
    assert sorted(set(answers)) == [401, 429]
    assert answers.count(401) == 20
    (row,) = world_of(app).events("ratelimit.hit")
    assert (row["reason"], row["client_ip"]) == ("login_ip", "192.0.2.20")
    refused = browsers[0].log_in("ghost")
    assert (refused.status_code, refused.mimetype, refused.headers["Retry-After"]) == (
        429,
        "text/html",
        "300",
    )
    assert Browser(app, address="192.0.2.21").log_in("ghost").status_code == 401


def test_logins_that_succeed_do_not_count_against_their_address(make_app: Callable[..., Flask]) -> None:
    app = make_app(limit_login_address="3/300")
    add_user(services_of(app), "alice")
    for _ in range(6):
        assert Browser(app).log_in().status_code == 303
    # nor do they wash failures away
    for _ in range(3):
        assert Browser(app).log_in("ghost").status_code == 401
    assert Browser(app).log_in().status_code == 429


def test_an_ipv6_network_is_one_address(make_app: Callable[..., Flask]) -> None:
    app = make_app(limit_login_address="3/300")
    answers = [Browser(app, address=f"2001:db8::{n}").log_in("ghost").status_code for n in range(1, 6)]
    assert answers == [401, 401, 401, 429, 429]
    assert Browser(app, address="2001:db8:0:1::1").log_in("ghost").status_code == 401


def test_the_whole_server_has_a_limit(make_app: Callable[..., Flask]) -> None:
    app = make_app(limit_login_server="5/60")
    answers = [Browser(app, address=f"192.0.2.{n}").log_in("ghost").status_code for n in range(8)]
    assert answers == [401] * 5 + [429] * 3
    (row,) = world_of(app).events("ratelimit.hit")
    assert row["reason"] == "login_server"


def test_guesses_spread_over_addresses_and_accounts_raise_an_alarm(make_app: Callable[..., Flask]) -> None:
    app = make_app(login_alarm="10/300")
    services = services_of(app)
    add_user(services, "alice")
    for n in range(15):
        Browser(app, address=f"198.51.100.{n}").log_in("alice" if n == 7 else f"user{n}", "Spring2026!")
    (row,) = world_of(app).events("alert.spraying")
    assert row["detail"] == {"failures": 10, "seconds": 300}
    # one failure each locks nobody
    assert Browser(app).log_in().status_code == 303


def test_a_full_queue_is_a_page_that_says_try_again(browser: Browser, services: Services) -> None:
    from contextlib import ExitStack

    hasher = services.password_login._hasher
    with ExitStack() as stack:
        for _ in range(34):
            stack.enter_context(hasher.place())
        answer = browser.log_in()
    assert (answer.status_code, answer.mimetype, answer.headers["Retry-After"]) == (503, "text/html", "1")
    assert browser.log_in().status_code == 303


def test_no_person_is_there_before_an_operator_makes_one(app: Flask) -> None:
    for name in ("admin", "root", "test", "demo", "alice"):
        assert Browser(app).log_in(name, name).status_code == 401
