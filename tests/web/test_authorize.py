"""The way through an authorization: which page comes when, in which browser, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from asking import (
    CALLBACK,
    Asking,
    answer,
    ask,
    decide,
    follow,
    parameters,
    posted,
    request_id,
    start,
)
from plugins.app import ISSUER, Moving
from plugins.people import add_user, hidden_fields
from sqlalchemy import select

from authserver import crypto
from authserver.db import table_of
from authserver.models.authorization import Interaction
from authserver.oauth.interactions import LIFETIME


@pytest.mark.spec("RFC 6749", "4.1")
@pytest.mark.spec("RFC 9207", "2")
def test_a_person_logs_in_allows_and_the_client_gets_a_code_that_works(asking: Asking) -> None:
    browser = asking.browser()
    page = start(browser)
    assert page.request.path == "/login"
    assert "shop" in page.text
    page = follow(
        browser, browser.submit(page, "/login", username="alice", password="a purple dog walks home")
    )
    assert page.request.path == "/consent"
    response = decide(browser, page)
    assert response.status_code == 303
    found = answer(response)
    assert list(found) == ["code", "state", "iss"]
    assert len(found["code"]) == 43
    assert (found["state"], found["iss"]) == ("S1", ISSUER)
    body = asking.redeem(found["code"]).json
    assert body["scope"] == "openid accounts:read"
    (issued,) = asking.events("code.issued")
    assert (issued["client_id"], issued["user_id"]) == ("shop", asking.alice)
    assert len(asking.events("consent.granted")) == 1
    assert asking.rows() == {"interactions": 1, "authorizations": 1, "codes": 1, "grants": 1}


def test_the_endpoint_reads_no_cookie_and_sets_none(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    response = browser.post(
        "/authorize", parameters(), Origin="https://client.example", Sec_Fetch_Site="cross-site"
    )
    assert response.status_code == 303
    assert "Set-Cookie" not in response.headers
    stranger = asking.browser()
    assert "Set-Cookie" not in ask(stranger).headers


def test_only_the_digest_of_an_interaction_and_of_its_browser_rest(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    response = ask(browser)
    id_ = request_id(response)
    follow(browser, response)
    with asking.world.services.database.reading() as connection:
        row = connection.execute(select(table_of(Interaction))).mappings().one()
    assert row["digest"] == crypto.digest(id_)
    assert row["browser"] == crypto.digest(browser.cookie("browser") or "")
    assert id_ not in repr(dict(row))
    assert id_ not in repr(asking.world.events())


def test_consent_is_remembered_and_the_next_request_asks_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    assert "code" in answer(start(browser))
    assert "code" in answer(start(browser, scope="openid"))
    assert "code" in answer(start(browser, prompt="none"))
    assert start(browser, scope="openid profile accounts:read").request.path == "/consent"
    assert start(browser, prompt="consent").request.path == "/consent"
    assert start(browser, "pay1").request.path == "/consent"
    other = asking.browser()
    add_user(asking.world.services, "bob")
    other.log_in("bob")
    assert start(other).request.path == "/consent"
    assert len(asking.events("consent.granted")) == 1


def test_form_post_gives_a_page_that_posts_itself_and_has_a_button(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = decide(browser, start(browser, response_mode="form_post"))
    found = posted(page)
    assert list(found) == ["code", "state", "iss"]
    assert asking.redeem(found["code"]).status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    # it posts to the client; Chromium holds form-action against every redirect after that
    assert "form-action" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert "<script src=" in page.text
    assert '<button type="submit">' in page.text


def test_a_form_is_not_posted_to_an_app(asking: Asking) -> None:
    uri = "com.example.app:/cb"
    found = answer(ask(asking.browser(), "app", redirect_uri=uri, response_mode="form_post"), uri)
    assert found["error"] == "invalid_request"


HOSTILE = [
    "'\"><svg onload=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{7*7}}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_caller_sends_is_text_on_every_page(asking: Asking, text: str) -> None:
    services = asking.world.services
    values = {
        "client_name": text, "state": "active", "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"], "redirect_uris": [CALLBACK], "scopes": ["openid"],
        "profile": "oauth21", "tier": "gold", "client_id": "hostile",
    }  # fmt: skip
    services.clients.create(values)
    services.scopes.describe("openid", text)
    services.versions.forget()
    changes = {"scope": "openid", "state": text, "login_hint": text, "nonce": text, "ui_locales": text}
    browser = asking.browser()
    pages = [start(browser, "hostile", **changes)]
    browser.log_in()
    pages.append(start(browser, "hostile", **changes))
    pages.append(decide(browser, start(browser, "hostile", response_mode="form_post", **changes)))
    assert posted(pages[2])["code"]
    pages.append(ask(browser, text, **changes))
    pages.append(ask(browser, "hostile", redirect_uri=text))
    pages.append(browser.get("/authorize/resume?request=" + text))
    for page in pages:
        assert page.mimetype == "text/html"
        for raw in ("<svg onload", "<script>alert", 'href="javascript', 'action="javascript', ">49<"):
            assert raw not in page.text


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.6")
def test_prompt_none_never_shows_a_page(asking: Asking) -> None:
    browser = asking.browser()
    found = answer(start(browser, prompt="none"))
    assert (found["error"], found["state"]) == ("login_required", "S1")
    browser.log_in()
    found = answer(start(browser, prompt="none"))
    assert found["error"] == "consent_required"
    found = posted(start(browser, prompt="none", response_mode="form_post"))
    assert found["error"] == "consent_required"
    assert asking.reasons() == ["prompt_none"] * 3
    decide(browser, start(browser))
    assert "code" in answer(start(browser, prompt="none"))
    assert answer(start(browser, prompt="none", max_age="0"))["error"] == "login_required"


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1")
@pytest.mark.parametrize("changes", [{"max_age": "0"}, {"prompt": "login"}, {"prompt": "select_account"}])
def test_a_new_login_is_asked_for_once_and_shows_in_auth_time(
    asking: Asking, moving_clock: Moving, changes: dict[str, str]
) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    moving_clock.walk(60)
    page = start(browser, **changes)
    assert page.request.path == "/login"
    assert asking.reasons("login.required") == ["reauthentication"]
    # the old session leads nowhere else, however often the way is tried
    id_ = hidden_fields(page.text, "/login")["request"]
    assert follow(browser, browser.get(f"/authorize/resume?request={id_}")).request.path == "/login"
    assert follow(browser, browser.get(f"/consent?request={id_}")).request.path == "/login"
    assert asking.rows()["codes"] == 1
    moving_clock.walk(1)
    found = answer(follow(browser, browser.log_in(request=id_)))
    claims = asking.world.services.keys.verify(asking.redeem(found["code"]).json["id_token"], ["jwt"])
    assert claims["auth_time"] == int(moving_clock.at)


def test_a_login_in_the_second_of_the_request_is_not_taken_for_one_since(
    asking: Asking, moving_clock: Moving
) -> None:
    browser = asking.browser(logged_in=True)
    assert start(browser, prompt="login").request.path == "/login"


def test_max_age_lets_a_young_login_pass(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    moving_clock.walk(100)
    assert "code" in answer(start(browser, max_age="100"))
    moving_clock.walk(1)
    assert start(browser, max_age="100").request.path == "/login"


def test_an_interaction_belongs_to_the_browser_that_resumed_it_first(asking: Asking) -> None:
    alice, mallory = asking.browser(logged_in=True), asking.browser()
    add_user(asking.world.services, "mallory")
    mallory.log_in("mallory")
    response = ask(alice)
    id_ = request_id(response)
    page = follow(alice, response)
    # mallory was here before, so she has a cookie and forms of her own
    hers = start(mallory)
    csrf = hidden_fields(hers.text, "/consent")["csrf"]
    before = asking.rows()
    tries = [
        mallory.get(f"/authorize/resume?request={id_}"),
        mallory.get(f"/consent?request={id_}"),
        mallory.post("/consent", {"txn": id_, "decision": "approve", "csrf": csrf}),
        mallory.post("/consent", {"txn": id_, "decision": "deny", "csrf": csrf}),
    ]
    for refused in tries:
        assert refused.status_code == 403
        assert "Location" not in refused.headers
    assert asking.reasons("csrf.rejected") == ["transaction_mismatch"] * 4
    assert asking.rows() == before
    assert "code" in answer(decide(alice, page))


def test_nobody_answers_an_interaction_that_no_browser_has_resumed(asking: Asking) -> None:
    alice, mallory = asking.browser(logged_in=True), asking.browser(logged_in=True)
    id_ = request_id(ask(alice))
    csrf = hidden_fields(start(mallory).text, "/consent")["csrf"]
    refused = mallory.post("/consent", {"txn": id_, "decision": "approve", "csrf": csrf})
    assert refused.status_code == 403
    assert asking.rows()["codes"] == 0
    assert follow(alice, alice.get(f"/authorize/resume?request={id_}")).request.path == "/consent"


def test_a_planted_browser_cookie_is_replaced_unless_it_could_be_ours(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    browser.set_cookie("browser", "x")
    assert start(browser).request.path == "/consent"
    assert len(browser.cookie("browser") or "") == 43


@pytest.mark.parametrize("id_", ["", "x", "A" * 43, "A" * 5000, "%00", "../login", "'--"])
def test_an_id_that_is_none_gets_a_page(asking: Asking, id_: str) -> None:
    browser = asking.browser(logged_in=True)
    csrf = hidden_fields(start(browser).text, "/consent")["csrf"]
    for response in (
        browser.get(f"/authorize/resume?request={id_}"),
        browser.get("/authorize/resume"),
        browser.get(f"/consent?request={id_}"),
        browser.post("/consent", {"txn": id_, "decision": "approve", "csrf": csrf}),
        browser.post("/consent", {"decision": "approve", "csrf": csrf}),
    ):
        assert response.status_code == 400
        assert response.mimetype == "text/html"


def test_an_expired_request_gives_no_code_but_can_be_cancelled(asking: Asking, moving_clock: Moving) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    response = ask(browser)
    asked = start(browser, scope="openid profile")
    for _ in range(LIFETIME // 300):
        moving_clock.walk(299)
        browser.get("/account")
    moving_clock.walk(LIFETIME % 299 + 1)
    assert follow(browser, response).status_code == 410
    page = browser.submit(asked, "/consent", decision="approve")
    assert page.status_code == 410
    assert "too old" in page.text
    assert asking.rows()["codes"] == 1
    found = answer(browser.submit(page, "/authorize/cancel"))
    assert (found["error"], found["state"]) == ("access_denied", "S1")
    assert browser.submit(page, "/authorize/cancel").status_code == 409


@pytest.mark.spec("RFC 6749", "4.1.2.1")
def test_a_person_may_cancel_before_logging_in(asking: Asking) -> None:
    browser = asking.browser()
    page = start(browser)
    assert "Cancel and return to" in page.text
    found = answer(browser.submit(page, "/authorize/cancel"))
    assert (found["error"], found["state"], found["iss"]) == ("access_denied", "S1", ISSUER)
    assert [row["reason"] for row in asking.events("consent.denied")] == ["user"]
    # the login page that is still open elsewhere leads to the page that says so
    again = follow(
        browser, browser.submit(page, "/login", username="alice", password="a purple dog walks home")
    )
    assert again.status_code == 409
    assert asking.rows()["codes"] == 0


def test_cancelling_takes_the_form_that_this_browser_got(asking: Asking) -> None:
    browser, mallory = asking.browser(), asking.browser()
    page = start(browser)
    fields = hidden_fields(page.text, "/authorize/cancel")
    assert browser.post("/authorize/cancel", {"txn": fields["txn"]}).status_code == 403
    assert mallory.post("/authorize/cancel", fields).status_code == 403
    assert browser.post("/authorize/cancel", fields, Origin="https://evil.example").status_code == 403
    assert browser.get("/authorize/cancel?txn=" + fields["txn"]).status_code == 405
    assert browser.post("/authorize/cancel", fields).status_code == 303


def test_two_tabs_are_two_requests_and_one_login_serves_both(asking: Asking) -> None:
    browser = asking.browser()
    first, second = start(browser, state="one"), start(browser, state="two", scope="openid profile")
    page = follow(
        browser, browser.submit(first, "/login", username="alice", password="a purple dog walks home")
    )
    # the other tab reloads: whoever is logged in goes on where the second request stands
    other = follow(
        browser, browser.get("/authorize/resume?request=" + hidden_fields(second.text, "/login")["request"])
    )
    assert other.request.path == "/consent"
    assert answer(decide(browser, other))["state"] == "two"
    assert answer(decide(browser, page))["state"] == "one"
    assert asking.rows()["codes"] == 2


def test_going_back_after_the_answer_says_that_it_was_answered(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    response = ask(browser)
    page = follow(browser, response)
    decide(browser, page)
    id_ = request_id(response)
    for again in (
        decide(browser, page),
        browser.submit(page, "/consent", decision="deny"),
        browser.get(f"/consent?request={id_}"),
        browser.get(f"/authorize/resume?request={id_}"),
    ):
        assert again.status_code == 409
        assert "answered already" in again.text
        assert "Location" not in again.headers
    assert asking.rows()["codes"] == 1


def test_a_client_that_is_suspended_meanwhile_gets_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    asking.world.services.clients.set_state("shop", "suspended")
    assert decide(browser, page).status_code == 400
    assert asking.rows()["codes"] == 0


def test_a_session_that_ends_meanwhile_allows_nothing(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    asking.world.services.sessions.end_all(asking.alice, "test")
    response = decide(browser, page)
    assert follow(browser, response).request.path == "/login"
    assert asking.rows()["codes"] == 0


def test_a_session_that_ends_between_reading_and_writing_allows_nothing(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    services = asking.world.services
    approved = type(services.authorization_responses).approved

    def late(self: Any, *arguments: Any, **named: Any) -> Any:
        services.sessions.end_all(asking.alice, "test")
        return approved(self, *arguments, **named)

    monkeypatch.setattr(type(services.authorization_responses), "approved", late)
    response = decide(browser, page)
    assert response.headers["Location"].startswith("/authorize/resume")
    assert asking.rows()["codes"] == asking.rows()["grants"] == 0
    assert asking.events("consent.granted") == []


def test_consent_that_is_withdrawn_between_reading_and_writing_is_asked_again(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    services = asking.world.services
    recalled = type(services.authorization_responses).recalled

    def late(self: Any, *arguments: Any) -> Any:
        services.consents.withdraw(asking.alice, "shop")
        return recalled(self, *arguments)

    monkeypatch.setattr(type(services.authorization_responses), "recalled", late)
    assert start(browser).request.path == "/consent"
    assert asking.rows()["codes"] == 1


def test_every_page_is_kept_from_frames_caches_and_other_origins(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    for response in (page, ask(browser, "nope"), browser.get("/authorize/resume?request=x")):
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Cookie" in response.headers["Vary"]


def test_who_comes_back_to_an_answered_request_reads_who_has_the_answer(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    page = start(browser)
    decide(browser, page)
    again = browser.get(page.request.full_path)
    assert again.status_code == 409
    assert "<bdi>Corner shop</bdi></strong> has the answer: go back" in again.text
    assert 'href="/account"' in again.text


def test_a_page_that_ends_everything_names_the_request_for_the_log(asking: Asking) -> None:
    page = ask(asking.browser(), "nobody")
    assert f"quote <code>{page.headers['X-Request-Id']}</code>" in page.text
