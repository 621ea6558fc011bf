"""Forms count only when this server gave them to this browser, for this purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plugins.app import World
from plugins.people import PASSWORD, Browser, hidden_fields

from authserver.app import services_of

MakeBrowser = Callable[..., Browser]
LOGIN = {"username": "alice", "password": PASSWORD}


def rejected(browser: Browser) -> list[str]:
    rows = World(browser.app, services_of(browser.app)).events("csrf.rejected")
    assert all(row["outcome"] == "denied" for row in rows)
    return [row["reason"] for row in rows]


def test_a_form_without_its_token_or_cookie_is_refused(browser: Browser, make_browser: MakeBrowser) -> None:
    assert browser.post("/login", LOGIN).status_code == 403
    fields = hidden_fields(browser.get("/login").text, "/login")
    assert browser.post("/login", LOGIN).status_code == 403
    assert browser.post("/login", LOGIN | {"csrf": fields["csrf"][:-1]}).status_code == 403
    assert make_browser().post("/login", LOGIN | fields).status_code == 403
    assert rejected(browser) == ["cookie", "token", "token", "cookie"]
    assert browser.cookie("sid") is None
    refused = browser.post("/login", LOGIN)
    assert (refused.mimetype, refused.headers["Cache-Control"]) == ("text/html", "no-store")
    assert "location" not in refused.headers
    assert browser.post("/login", LOGIN | fields).status_code == 303


def test_a_token_of_another_browser_does_not_fit(browser: Browser, make_browser: MakeBrowser) -> None:
    mallory = hidden_fields(make_browser().get("/login").text, "/login")
    browser.get("/login")
    assert browser.post("/login", LOGIN | mallory).status_code == 403
    assert rejected(browser) == ["token"]


def test_a_token_of_another_form_does_not_fit(browser: Browser) -> None:
    browser.log_in()
    fields = hidden_fields(browser.get("/logout").text, "/logout")
    refused = browser.post("/account/sessions/end", fields | {"sid": "x"})
    assert refused.status_code == 403
    assert browser.get("/account").status_code == 200


def test_a_form_from_before_a_login_does_not_fit_after_it(browser: Browser) -> None:
    """A cookie and a token that somebody planted are worth nothing once the person has logged in."""
    planted = hidden_fields(browser.get("/login").text, "/login")
    cookie = browser.cookie("csrf")
    assert cookie
    browser.log_in()
    assert browser.cookie("csrf") != cookie
    browser.set_cookie("csrf", cookie)
    assert browser.post("/login", LOGIN | planted).status_code == 403


@pytest.mark.parametrize(
    ("path", "action"), [("/logout", "/logout"), ("/account/sessions", "/account/sessions/end-all")]
)
def test_a_form_from_before_signing_out_does_not_fit_after_it(
    browser: Browser, path: str, action: str
) -> None:
    browser.log_in()
    cookie = browser.cookie("csrf")
    assert cookie
    browser.submit(browser.get(path), action)
    assert browser.cookie("sid") is None
    assert browser.cookie("csrf") not in (None, cookie)


@pytest.mark.parametrize("field", ["request", "txn"])
def test_a_form_that_is_out_of_date_leads_back_to_its_request_and_nowhere_else(
    browser: Browser, field: str
) -> None:
    known = "r" * 43
    way_on = f'<a href="/authorize/resume?request={known}">'
    assert way_on in browser.post("/login", LOGIN | {field: known}).text
    for other in ("", known[:-1], known[:-1] + '"', f"{known}&x=1", "//evil.example/" + known[15:]):
        assert "/authorize/resume" not in browser.post("/login", LOGIN | {field: other}).text
    # another site gets nobody on to a request of its own choice
    foreign = browser.post("/login", LOGIN | {field: known}, Origin="https://evil.example")
    assert (foreign.status_code, "/authorize/resume" in foreign.text) == (403, False)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Origin": "https://evil.example"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Origin": "http://localhost:8000.evil.example"}, "origin"),
        ({"Sec_Fetch_Site": "cross-site"}, "fetch_site"),
        ({"Sec_Fetch_Site": "same-site"}, "fetch_site"),
    ],
)
def test_what_the_browser_says_came_from_elsewhere_is_refused(
    browser: Browser, headers: dict[str, str], reason: str
) -> None:
    fields = hidden_fields(browser.get("/login").text, "/login")
    assert browser.post("/login", LOGIN | fields, **headers).status_code == 403
    assert rejected(browser) == [reason]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:8000", "Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}],
)
def test_its_own_forms_are_taken(browser: Browser, headers: dict[str, str]) -> None:
    fields = hidden_fields(browser.get("/login").text, "/login")
    assert browser.post("/login", LOGIN | fields, **headers).status_code == 303


def test_two_tabs_share_the_cookie(browser: Browser) -> None:
    first, second = browser.get("/login"), browser.get("/login")
    assert "Set-Cookie" not in second.headers
    assert browser.submit(first, "/login", username="alice", password="x").status_code == 401
    assert browser.submit(second, "/login", **LOGIN).status_code == 303


def test_a_flood_of_refused_forms_is_not_a_flood_of_rows(make_app: Callable[..., object]) -> None:
    browser = Browser(make_app(limit_address_failures="5/60"))  # type: ignore[arg-type]
    for _ in range(30):
        assert browser.post("/login", LOGIN).status_code == 403
    assert len(rejected(browser)) == 5


@pytest.mark.parametrize("path", ["/login", "/logout", "/enrol", "/account/sessions/end"])
def test_no_form_is_sent_by_get(browser: Browser, path: str) -> None:
    browser.log_in()
    before = len(World(browser.app, services_of(browser.app)).events())
    for method in ("GET", "HEAD"):
        answer = browser._open(method, f"{path}?sid=x&token=x&decision=approve", {})
        assert answer.status_code in (200, 303, 405, 410)
    assert browser.get("/account").status_code == 200
    events = {row["event"] for row in World(browser.app, services_of(browser.app)).events()[before:]}
    assert events <= {"http.rejected", "user.link.rejected"}
    for method in ("PUT", "DELETE", "TRACE", "OPTIONS"):
        assert browser._open(method, path, {}).status_code == 405
