"""Whatever is sent to a form gets a page: no failure of ours, no login, no leak of what was sent."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugins.people import Browser, hidden_fields
from werkzeug.test import Client, TestResponse

from authserver.app import services_of

NAMES = st.sampled_from(
    [
        "username", "password", "password_again", "new_password", "new_password_again", "client_id", "token",
        "request", "csrf", "sid", "txn", "x", "", "csrf[]",
        "id_token_hint", "post_logout_redirect_uri", "state",
    ]
)  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "alice", "a" * 2000, "<script>marker</script>", "../..", "%00", "\u202e", "' OR 1=1"]
    ),
)
BODIES = st.one_of(
    st.lists(st.tuples(NAMES, TEXT), max_size=8).map(
        lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
    ),
    st.binary(max_size=200),
)
ACCOUNT = [
    "/account/sessions/end",
    "/account/sessions/end-all",
    "/account/consents/withdraw",
    "/account/password",
    "/account/activity/not-me",
    "/account/data/keep",
    "/account/email",
]
LOGOUT = ["/end_session", "/end_session/confirm"]
FINE = {200, 303, 400, 401, 403, 404, 410, 413, 415}


@pytest.mark.parametrize("action", ["/login", "/logout", "/enrol", *LOGOUT, *ACCOUNT])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, with_token=st.booleans())
def test_any_form_gets_a_page(browser: Browser, action: str, body: bytes, with_token: bool) -> None:
    if with_token and action == "/login":
        token = hidden_fields(browser.get("/login").text, "/login")["csrf"]
        body = f"csrf={token}&".encode() + body
    answer = browser.post(action, body)
    assert answer.status_code in FINE, (answer.status_code, body)
    assert answer.mimetype == "text/html"
    assert "<script>marker" not in answer.text
    assert browser.cookie("sid") is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    action=st.sampled_from(ACCOUNT),
    pairs=st.lists(st.tuples(NAMES, TEXT), max_size=6, unique_by=lambda p: p[0]),
)
def test_any_form_of_somebody_signed_in_gets_a_page(
    browser: Browser, action: str, pairs: list[tuple[str, str]]
) -> None:
    if browser.get("/account").status_code != 200:
        browser.log_in()
    page, form = (
        ("/account/password",) * 2 if action == "/account/password" else ("/account/sessions", ACCOUNT[1])
    )
    token = hidden_fields(browser.get(page).text, form)["csrf"]
    fields = [(name, value) for name, value in pairs if name != "csrf"]
    answer = browser.post(action, urlencode([("csrf", token), *fields], errors="surrogatepass").encode())
    assert answer.status_code in FINE, (answer.status_code, fields)
    assert answer.mimetype == "text/html"
    assert "<script>marker" not in answer.text
    assert Browser(browser.app).log_in().status_code == 303


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.lists(st.tuples(NAMES, TEXT), max_size=4),
    cookie=st.text(st.characters(codec="latin-1"), max_size=60),
)
def test_any_query_and_cookie_get_a_page(browser: Browser, query: list[tuple[str, str]], cookie: str) -> None:
    encoded = urlencode(query, errors="surrogatepass")
    header = "sid=" + "".join(c for c in cookie if c.isprintable()) + "; csrf=x"
    for path in ("/login", "/enrol", "/logout", "/account", "/account/password"):
        # a client that keeps cookies would send its own in place of this header
        client = Client(browser.app, TestResponse, use_cookies=False)
        answer = client.get(f"{path}?{encoded}", base_url=browser.issuer, headers={"Cookie": header})
        assert answer.status_code in FINE | {414}, (path, encoded)
        assert "<script>marker" not in answer.text
    assert services_of(browser.app).sessions.list("nobody") == []
