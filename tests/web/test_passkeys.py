"""Passkeys: logging in without a name, as a second factor, and on the account's page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from plugins.app import Moving, World
from plugins.factors import codes_of, give_totp, told
from plugins.factors import prove as prove_by_code
from plugins.passkeys import PAGE, asked, give_passkey, log_in, prove, register
from plugins.people import Browser, add_user, hidden_fields
from soft_authenticator import Authenticator, new_key

from authserver.app import services_of
from authserver.crypto import b64u
from authserver.login.password_login import Browser as Place

FAILED = "Check the user name and the password."


def events(app: Flask, name: str) -> list[dict[str, object]]:
    return World(app, services_of(app)).events(name)


def reasons(app: Flask) -> list[object]:
    return [row["reason"] for row in events(app, "webauthn.rejected")]


def session_of(app: Flask, browser: Browser) -> Any:
    return services_of(app).sessions.read(browser.cookie("sid"))


def test_a_passkey_logs_in_without_a_user_name(app: Flask, browser: Browser, alice: str) -> None:
    device = give_passkey(app, alice)
    page = browser.get("/login")
    options = asked(browser, page, "/login/passkey", "/login/options")
    # nobody is named before somebody has proved who they are
    assert options["allowCredentials"] == [] and options["userVerification"] == "required"
    entered = log_in(browser, device)
    assert (entered.status_code, entered.location) == (303, "/account")
    session = session_of(app, browser)
    assert (session.user_id, session.acr, session.amr) == (alice, "phr", ("pop", "user", "mfa"))
    assert session.complete
    assert browser.get("/account").status_code == 200
    assert events(app, "login.succeeded")[-1]["detail"] == {"amr": ["pop", "user", "mfa"]}


def test_a_passkey_that_proves_nothing_is_answered_like_a_wrong_password(
    app: Flask, browser: Browser, alice: str, make_browser: Callable[..., Browser]
) -> None:
    device, stranger = give_passkey(app, alice), Authenticator()
    page = browser.get("/login")
    stranger.register({"user": {"id": "AAAA"}, "challenge": "AAAA"})
    wrong = browser.log_in(password="wrong")
    services_of(app).users.disable(alice)
    services_of(app).versions.forget()
    answers = [log_in(browser, stranger), log_in(browser, device), log_in(browser, device, key=new_key())]
    answers.append(browser.submit(page, "/login/passkey", credential="{}"))
    answers.append(browser.submit(page, "/login/passkey"))
    for answer in answers:
        assert answer.status_code == wrong.status_code == 401
        assert FAILED in answer.text
        # but for its tokens the page is the same
        assert re.sub(r'value="[^"]*"', "", answer.text) == re.sub(r'value="[^"]*"', "", wrong.text)
    assert reasons(app) == ["credential_unknown", "user_disabled", "user_disabled", "malformed", "malformed"]
    assert browser.cookie("sid") is None


def test_a_challenge_of_one_browser_logs_nobody_in_at_another(
    app: Flask, browser: Browser, alice: str, make_browser: Callable[..., Browser]
) -> None:
    device, other = give_passkey(app, alice), make_browser()
    options = asked(other, other.get("/login"), "/login/passkey", "/login/options")
    answer = json.dumps(device.sign(options))
    page = browser.get("/login")
    assert browser.submit(page, "/login/passkey", credential=answer).status_code == 401
    assert reasons(app) == ["challenge"]
    # a form of another site has no token of this browser
    assert browser.post("/login/passkey", {"credential": answer}).status_code == 403
    assert browser.post("/login/options", {}).status_code == 403
    # where it was made it counts, once
    there = other.get("/login")
    assert other.submit(there, "/login/passkey", credential=answer).status_code == 303


def test_a_strangers_guesses_keep_no_owner_out_on_a_known_device(
    app: Flask, browser: Browser, alice: str, make_browser: Callable[..., Browser]
) -> None:
    device, services = give_passkey(app, alice), services_of(app)
    stranger = make_browser(address="198.51.100.9")
    for _ in range(5):
        stranger.log_in(password="guess")
    # on a device that nobody knows the lock holds for a passkey, too
    assert log_in(browser, device).status_code == 401
    assert reasons(app) == ["blocked"]
    page = browser.get("/login")
    options = asked(browser, page, "/login/passkey", "/login/options")
    answer, holder = json.dumps(device.sign(options)), browser.cookie("csrf")
    place = Place("192.0.2.20", "", None)
    assert holder is not None
    assert services.passkeys.login.attempt(answer, holder, place, lambda who, _: who == alice) is not None
    user = services.users.must(alice)
    assert (user.failures, user.locked_until) == (0, None)


def test_a_passkey_as_second_factor_raises_the_session(app: Flask, browser: Browser, alice: str) -> None:
    device = give_passkey(app, alice)
    assert browser.log_in().location == "/account"
    assert browser.get("/account").location == "/mfa"
    before = browser.cookie("sid")
    assert prove(browser, device, key=new_key()).status_code == 401
    assert session_of(app, browser).acr == "urn:authserver:acr:password"
    proved = prove(browser, device)
    assert (proved.status_code, proved.location) == (303, "/account")
    session = session_of(app, browser)
    assert (session.acr, session.amr) == ("phr", ("pwd", "pop", "user", "mfa"))
    assert browser.cookie("sid") != before and services_of(app).sessions.read(before) is None
    assert browser.get("/account").status_code == 200
    assert events(app, "mfa.succeeded")[-1]["reason"] == "webauthn"


def test_a_passkey_is_added_named_renamed_and_removed(app: Flask, browser: Browser, alice: str) -> None:
    browser.log_in()
    page = browser.get(PAGE)
    assert "None yet." in page.text
    first = Authenticator()
    added = register(browser, first, page, name="  My   <b>telephone</b> ")
    # who had no second factor gets recovery codes with it
    assert added.status_code == 200 and len(codes_of(added)) == 10
    assert told(app, alice) == ["factor_added"]
    assert events(app, "mfa.enrolled")[-1]["reason"] == "webauthn"
    page = browser.get(PAGE)
    assert "My &lt;b&gt;telephone&lt;/b&gt;" in page.text and "Not used yet" in page.text
    # from now on changes need the passkey itself
    assert "/webauthn/register" not in page.text and "Sign in once more" in page.text
    log_in(browser, first, "?then=passkeys")
    second = Authenticator()
    assert register(browser, second, browser.get(PAGE)).location == f"{PAGE}?notice=added"
    page = browser.get(PAGE)
    assert "Last used" in page.text and page.text.count("Not used yet") == 1
    credential_id = hidden_fields(page.text, f"{PAGE}/rename")["credential_id"]
    browser.submit(page, f"{PAGE}/rename", name="Key ring")
    assert "Key ring" in browser.get(PAGE).text
    for name in ("", "x" * 61, "back\u202ewards"):
        assert browser.submit(page, f"{PAGE}/rename", name=name).status_code == 400
    assert browser.submit(page, f"{PAGE}/remove", credential_id=credential_id).status_code == 303
    assert "Key ring" not in browser.get(PAGE).text
    refused = browser.submit(browser.get(PAGE), f"{PAGE}/remove")
    assert refused.status_code == 403 and "the only second factor" in refused.text
    assert [row["reason"] for row in events(app, "mfa.remove.rejected")] == ["last_factor"]
    assert told(app, alice) == ["factor_added", "factor_added", "factor_removed"]


def test_nothing_is_added_or_removed_later_than_five_minutes_after_the_proof(
    moving_clock: Moving, app: Flask, browser: Browser, alice: str
) -> None:
    device = give_passkey(app, alice)
    log_in(browser, device)
    page = browser.get(PAGE)
    options = asked(browser, page, "/webauthn/register", "/webauthn/register/options")
    moving_clock.walk(200)
    assert browser.get("/account").status_code == 200
    moving_clock.walk(101)
    answer = json.dumps(Authenticator().register(options))
    late = browser.submit(page, "/webauthn/register", credential=answer)
    assert late.status_code == 403 and "Sign in once more" in late.text
    csrf = hidden_fields(page.text, "/webauthn/register")["csrf"]
    assert browser.post("/webauthn/register/options", {"csrf": csrf}).status_code == 403
    assert browser.submit(page, f"{PAGE}/remove").status_code == 403
    assert len(services_of(app).passkeys.credentials.of(alice)) == 1


def test_anothers_passkey_is_neither_renamed_nor_removed(
    app: Flask, browser: Browser, alice: str, make_browser: Callable[..., Browser]
) -> None:
    bob = add_user(services_of(app), "bob")
    give_passkey(app, bob, "Bobs")
    mine = [give_passkey(app, alice), give_passkey(app, alice)]
    log_in(browser, mine[0])
    page = browser.get(PAGE)
    bobs = b64u(services_of(app).passkeys.credentials.of(bob)[0].credential_id)
    browser.submit(page, f"{PAGE}/rename", credential_id=bobs, name="Stolen")
    browser.submit(page, f"{PAGE}/remove", credential_id=bobs)
    assert [one.name for one in services_of(app).passkeys.credentials.of(bob)] == ["Bobs"]
    assert [row["reason"] for row in events(app, "mfa.remove.rejected")] == ["unknown_factor"]


def test_a_lower_factor_changes_nothing_of_a_passkey(app: Flask, browser: Browser, alice: str) -> None:
    """A password and a code do not reach what a passkey does: by them nobody adds one or takes it away."""
    enrolled = give_totp(app, alice)
    give_passkey(app, alice)
    browser.log_in()
    assert prove_by_code(browser, enrolled.app.code()).status_code == 303
    page = browser.get(PAGE)
    assert page.status_code == 200 and "/webauthn/register" not in page.text
    token = hidden_fields(page.text, f"{PAGE}/rename")
    for path in ("/webauthn/register/options", "/webauthn/register", f"{PAGE}/remove"):
        assert browser.post(path, token).status_code == 403, path
    assert [row["reason"] for row in events(app, "mfa.enrol.rejected")] == ["session_stale"] * 2
    assert len(services_of(app).passkeys.credentials.of(alice)) == 1


def test_who_must_have_a_passkey_sets_one_up_before_anything_opens(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ngroups = ["operators"]\nacr = "phr"\n')
    app = make_app(factor_policy=path)
    services, device = services_of(app), Authenticator()
    user_id = add_user(services, "alice")
    services.users.set_groups(user_id, ["operators"])
    services.versions.forget()
    browser = Browser(app)
    browser.log_in()
    assert browser.get("/account").location == "/mfa"
    assert browser.get("/mfa").location == "/second-factor"
    page = browser.get("/second-factor")
    assert "/account/totp" not in page.text
    failed = browser.submit(page, "/webauthn/register", credential="{}")
    assert failed.status_code == 400 and "/second-factor" in failed.text
    added = register(browser, device, page)
    assert len(codes_of(added)) == 10
    # registering proves no key: the new passkey is used once before anything opens
    assert browser.get("/account").location == "/mfa"
    assert prove(browser, device).location == "/account"
    assert browser.get("/account").status_code == 200


def test_challenges_are_limited_by_address(make_app: Callable[..., Flask]) -> None:
    app = make_app(limit_authorize_address="2/60")
    browser = Browser(app)
    page = browser.get("/login")
    for _ in range(2):
        asked(browser, page, "/login/passkey", "/login/options")
    csrf = hidden_fields(page.text, "/login/passkey")["csrf"]
    assert browser.post("/login/options", {"csrf": csrf}).status_code == 429
