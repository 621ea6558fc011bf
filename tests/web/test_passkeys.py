"""Passkeys in a browser: added, used with and without a user name, renamed, removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from plugins.app import Moving, World
from plugins.factors import SECURITY, codes_of, give_totp, told
from plugins.factors import prove as prove_by_code
from plugins.passkeys import ADD, LOGIN, MFA, begin, finish, give_passkey, log_in, prove
from plugins.people import Browser, add_user, hidden_fields
from soft_authenticator import UP, Authenticator

from authserver import acr, crypto
from authserver.app import services_of


@pytest.fixture
def user_id(browser: Browser) -> str:
    user = services_of(browser.app).users.find("alice")
    assert user is not None
    return user.user_id


def events(browser: Browser, name: str) -> list[str]:
    return [row["reason"] for row in World(browser.app, services_of(browser.app)).events(name)]


def acr_of(browser: Browser) -> str:
    session = services_of(browser.app).sessions.read(browser.cookie("sid"))
    assert session is not None
    return session.acr


def test_a_passkey_is_added_and_signs_in_without_a_user_name(browser: Browser, user_id: str) -> None:
    browser.log_in()
    page = browser.get(SECURITY)
    options = begin(browser, page, ADD)
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert crypto.b64u_decode(options["user"]["id"]).decode() == user_id
    device = Authenticator()
    answer = finish(browser, page, ADD, device.register(options), name="My  phone")
    assert len(codes_of(answer)) == 10
    assert events(browser, "mfa.enrolled") == ["passkey"]
    assert told(browser.app, user_id) == ["factor_added"]
    # a session of the password alone may not go on to change what it has not proved
    assert "My phone" in browser.get(SECURITY).text
    assert "Add a passkey" not in browser.get(SECURITY).text
    other = Browser(browser.app)
    answer = log_in(other, device)
    assert (answer.status_code, answer.location) == (303, SECURITY)
    assert acr_of(other) == "phr"
    assert "Add a passkey" in other.get(SECURITY).text
    assert "Last used" in other.get(SECURITY).text


def test_a_passkey_is_a_second_factor_after_the_password(browser: Browser, user_id: str) -> None:
    device = give_passkey(browser.app, user_id)
    browser.log_in()
    assert browser.get("/account").location == "/mfa"
    before = browser.cookie("sid")
    assert prove(browser, device).location == "/account"
    assert browser.cookie("sid") != before
    assert acr_of(browser) == "phr"
    assert events(browser, "mfa.succeeded") == ["webauthn"]


def test_a_challenge_is_for_one_browser_one_purpose_and_one_use(browser: Browser, user_id: str) -> None:
    device = give_passkey(browser.app, user_id)
    page = browser.get("/login")
    options = begin(browser, page, LOGIN)
    assert options["allowCredentials"] == []
    stranger = Browser(browser.app)
    theirs = stranger.get("/login")
    answer = device.sign(options)
    assert finish(stranger, theirs, LOGIN, answer).status_code == 401
    assert finish(browser, page, LOGIN, answer).status_code == 303
    # spent, also for the browser that it was made for
    again = Browser(browser.app)
    assert finish(again, again.get("/login"), LOGIN, answer).status_code == 401
    half = Browser(browser.app)
    half.log_in()
    page = half.get("/mfa")
    login = Browser(browser.app)
    other = begin(login, login.get("/login"), LOGIN)
    assert finish(half, page, MFA, device.sign(other)).status_code == 401
    assert events(browser, "webauthn.rejected") == ["challenge", "challenge_reuse", "challenge"]


def test_anothers_passkey_proves_nothing_in_a_started_session(browser: Browser, user_id: str) -> None:
    give_passkey(browser.app, user_id)
    bobs = give_passkey(browser.app, add_user(services_of(browser.app), "bob"))
    browser.log_in()
    page = browser.get("/mfa")
    options = begin(browser, page, MFA) | {"allowCredentials": []}
    assert finish(browser, page, MFA, bobs.sign(options)).status_code == 401
    assert events(browser, "webauthn.rejected") == ["credential_unknown"]
    assert browser.get("/account").location == "/mfa"


def test_a_passkey_opens_a_locked_account_where_its_owner_is_known(browser: Browser, user_id: str) -> None:
    """A stranger's guesses cannot shut the owner out, and a found passkey opens nothing elsewhere."""
    device = give_passkey(browser.app, user_id)
    log_in(browser, device)
    for _ in range(5):
        Browser(browser.app).log_in(password="wrong guess of somebody")
    assert events(browser, "account.blocked") == ["five_failures"]
    elsewhere = Browser(browser.app)
    assert log_in(elsewhere, device).status_code == 401
    assert events(browser, "webauthn.rejected") == ["blocked"]
    assert log_in(browser, device).status_code == 303
    assert Browser(browser.app).log_in().status_code == 303


def test_a_copy_shows_itself_and_neither_signs_in(browser: Browser, user_id: str) -> None:
    device = give_passkey(browser.app, user_id, "Blue key", count=10)
    assert log_in(browser, device).status_code == 303
    for count in (11, 9, 0):
        assert log_in(Browser(browser.app), device, count=count).status_code == 401
    device.count = 50
    assert log_in(Browser(browser.app), device).status_code == 401
    rejected = events(browser, "webauthn.rejected")
    assert rejected == ["sign_count"] * 3 + ["possibly_cloned"]
    assert told(browser.app, user_id) == ["passkey_cloned"]


def test_a_fresh_session_renames_and_removes_but_not_the_last(
    browser: Browser, user_id: str, moving_clock: Moving
) -> None:
    first, _ = give_passkey(browser.app, user_id, "First"), give_passkey(browser.app, user_id, "Second")
    log_in(browser, first)
    page = browser.get(SECURITY)
    ids = [
        crypto.b64u(one.credential_id) for one in services_of(browser.app).passkeys.credentials.of(user_id)
    ]
    done = browser.submit(page, f"{ADD}/rename", id=ids[0], name=" Desk  key ")
    assert done.location == f"{SECURITY}?notice=passkey_renamed"
    assert "Desk key" in browser.get(done.location).text
    assert browser.submit(page, f"{ADD}/rename", id=ids[0], name="").status_code == 400
    bobs = give_passkey(browser.app, add_user(services_of(browser.app), "bob")).credentials[0]
    for id_ in (crypto.b64u(bobs.id), "", "%%"):
        assert browser.submit(page, f"{ADD}/rename", id=id_, name="x").status_code == 404
        assert browser.submit(page, f"{ADD}/remove", id=id_).status_code == 404
    assert browser.submit(page, f"{ADD}/remove", id=ids[1]).status_code == 303
    assert browser.submit(page, f"{ADD}/remove", id=ids[0]).status_code == 403
    for _ in range(2):
        moving_clock.walk(160)
        browser.get("/account")
    assert browser.submit(page, f"{ADD}/remove", id=ids[0]).status_code == 403
    assert events(browser, "mfa.remove.rejected")[-2:] == ["last_factor", "session_stale"]
    assert told(browser.app, user_id) == ["factor_removed"]


def test_a_session_of_a_weaker_factor_does_not_change_a_stronger_one(
    browser: Browser, user_id: str, moving_clock: Moving
) -> None:
    given = give_totp(browser.app, user_id)
    give_passkey(browser.app, user_id)
    moving_clock.walk(30)
    browser.log_in()
    prove_by_code(browser, given.app.code())
    assert acr_of(browser) == acr.MFA
    assert "Add a passkey" not in browser.get(SECURITY).text
    fields = {"csrf": _token(browser)}
    assert browser.post(f"{ADD}/options", fields).status_code == 403
    assert events(browser, "mfa.enrol.rejected") == ["session_stale"]


def test_what_is_no_answer_of_a_device_is_refused_quietly(browser: Browser, user_id: str) -> None:
    device = give_passkey(browser.app, user_id)
    for answer in ("", "{", "[]", "null", "{}", json.dumps({"id": "x"}), "x" * 20_000, '{"a":' * 50):
        page = browser.get("/login")
        assert finish(browser, page, LOGIN, answer).status_code == 401
    assert set(events(browser, "webauthn.rejected")) == {"malformed"}
    assert log_in(browser, device, flags=UP).status_code == 401
    assert events(browser, "webauthn.rejected")[-1] == "user_verification"


def test_a_policy_for_passkeys_has_one_set_up_and_used_at_once(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_text('[[rule]]\nacr = "phr"\n')
    app = make_app(factor_policy=tmp_path / "policy.toml")
    add_user(services_of(app), "alice")
    browser = Browser(app)
    browser.log_in()
    page = browser.get("/second-factor")
    assert "authenticator app" not in page.text
    device = Authenticator()
    assert len(codes_of(finish(browser, page, ADD, device.register(begin(browser, page, ADD))))) == 10
    assert browser.get("/account").location == "/mfa"
    assert prove(browser, device).status_code == 303
    assert "Alice" in browser.get("/account").text


def test_challenges_and_tries_are_limited_by_address(make_app: Callable[..., Flask]) -> None:
    """Who signs in by a passkey of their own has no more guesses at the passwords of others for it."""
    app = make_app(limit_authorize_address="6/60", limit_login_address="3/300")
    user_id = add_user(services_of(app), "alice")
    device = give_passkey(app, user_id)
    for guess in ("one", "two"):
        assert Browser(app).log_in("bob", guess).status_code == 401
    for _ in range(4):
        assert log_in(Browser(app), device).status_code == 303
    assert [Browser(app).log_in("bob", guess).status_code for guess in ("three", "four")] == [401, 429]
    browser = Browser(app)
    page = browser.get("/login")
    fields = hidden_fields(page.text, LOGIN)
    asked = [browser.post(f"{LOGIN}/options", fields).status_code for _ in range(3)]
    assert asked == [200, 200, 429]
    assert browser.post(LOGIN, fields | {"answer": "{}"}).status_code == 429


def _token(browser: Browser) -> str:
    """A token for changes of factors in this browser's session."""
    with browser.app.test_request_context(
        headers={"Cookie": f"sid={browser.cookie('sid')}; csrf={browser.cookie('csrf')}"}
    ):
        from authserver.web import csrf

        return str(csrf.field("factors")).partition('value="')[2].partition('"')[0]
