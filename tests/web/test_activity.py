"""What a person reads of the audit log, and what follows when a sign-in was not theirs."""

from __future__ import annotations

import re
from html import unescape

import pytest
from asking import Asking, answer, decide, payment, start
from plugins.app import Moving
from plugins.factors import give_totp, prove, sign_in, told
from plugins.people import PASSWORD, Browser, add_user, hidden_fields

from authserver.app import services_of
from authserver.audit import Entry, Event
from authserver.web.account.activity import PER_PAGE

FEED = "/account/activity"
NOT_ME = "/account/activity/not-me"
KNOWN = "A device is known from now on"
PHONE = "Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0"


def headings(text: str) -> list[str]:
    """What each entry says, the newest first."""
    return [unescape(words) for words in re.findall(r"<strong>(.*?)</strong>", text)]


def entries(text: str) -> list[str]:
    """The addresses of the questions whether a sign-in was the person's."""
    return [unescape(path) for path in re.findall(r'href="(/account/activity/sign-in\?entry=[^"]+)"', text)]


def test_what_happened_is_told_in_words_with_device_place_and_time(
    asking: Asking, moving_clock: Moving
) -> None:
    stranger = Browser(asking.app, address="203.0.113.9")
    fields = hidden_fields(stranger.get("/login").text, "/login")
    stranger.post("/login", fields | {"username": "alice", "password": "wrong"}, User_Agent=PHONE)
    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    pays = {"scope": "openid payments:initiate", "authorization_details": payment()}
    decide(browser, start(browser, "pay1", **pays))
    browser.submit(browser.get("/account/consents"), "/account/consents/withdraw", client_id="shop")
    other = asking.browser()
    sign_in(other)
    other.submit(other.get("/account/sessions"), "/account/sessions/end")
    page = other.get(FEED).text
    told_ = headings(page)
    assert told_.count(KNOWN) == 2
    assert [words for words in told_ if words != KNOWN] == [
        "A session was ended",
        "Accepted: Authenticator app",
        "Password accepted",
        "Corner shop may do nothing for you any more",
        "You approved a payment",
        "Accepted: Authenticator app",
        "You allowed Corner shop something",
        "Password accepted",
        "A sign-in failed",
        "Password changed",
        "A link to set a password was made",
        "Account created",
    ]
    assert "Firefox on Android, from addresses 203.0.113.0/24" in page
    assert "203.0.113.9" not in page
    assert "18 November 2026, 11:06 UTC" in page
    assert page.count("Refused") == 1
    # German as well, and no reason, score or id of the log anywhere
    german = other.get(FEED, Accept_Language="de").text
    assert "Eine Anmeldung ist gescheitert" in german
    for secret in ("bad_password", "by_user", asking.alice, "grant_id", PHONE):
        assert secret not in page + german


def test_only_what_concerns_the_person_is_in_it(asking: Asking) -> None:
    services = asking.world.services
    add_user(services, "mallory")
    alice, mallory = asking.browser(logged_in=True), asking.browser()
    decide(alice, start(alice))
    mallory.log_in("mallory")
    page = mallory.get(FEED).text
    assert "Corner shop" not in page
    assert headings(page).count("Password accepted") == 1
    # an entry of somebody else's, and anything else, is none
    (theirs,) = entries(alice.get(FEED).text)
    (own,) = entries(page)
    token = hidden_fields(mallory.get(own).text, NOT_ME)
    for path in (theirs, theirs[:-2], f"{FEED}/sign-in", f"{FEED}/sign-in?entry=1", own + "A"):
        assert mallory.get(path).status_code == 404, path
    entry = theirs.partition("=")[2]
    for value in (entry, "1", "", "x" * 5000, "' OR 1=1 --"):
        assert mallory.post(NOT_ME, token | {"entry": value}).status_code == 404
    assert alice.get("/account").status_code == 200
    assert mallory.get("/account").status_code == 200
    # a page of somebody else's list begins this person's own
    for before in ("1", "x", entry):
        assert headings(mallory.get(f"{FEED}?before={before}").text) == headings(mallory.get(FEED).text)
    assert asking.events("recovery.started") == []


def test_an_entry_that_is_no_sign_in_is_not_asked_about(asking: Asking) -> None:
    from authserver.web.account.activity import _sealed

    browser = asking.browser(logged_in=True)
    decide(browser, start(browser))
    row = asking.events("consent.granted")[0]
    with asking.app.test_request_context():
        sealed = _sealed(row["id"], asking.alice)
    assert browser.get(f"{FEED}/sign-in?entry={sealed}").status_code == 404


def test_older_entries_come_by_key_whatever_is_added_meanwhile(asking: Asking) -> None:
    services, browser = asking.world.services, asking.browser(logged_in=True)
    for number in range(2 * PER_PAGE):
        event = Event.PASSWORD_CHANGED if number % 2 else Event.ACCOUNT_BLOCKED
        services.audit.record(Entry(event, user_id=asking.alice))
    first = browser.get(FEED).text
    assert len(headings(first)) == PER_PAGE
    assert ">Newest<" not in first
    older = unescape(re.search(r'href="(/account/activity\?before=[^"]+)"', first)[1])  # type: ignore[index]
    expected = headings(browser.get(older).text)
    services.audit.record(Entry(Event.LOGIN_FAILED, "denied", "bad_password", user_id=asking.alice))
    second = browser.get(older).text
    assert headings(second) == expected
    assert len(expected) == PER_PAGE
    assert ">Newest<" in second
    last = unescape(re.search(r'href="(/account/activity\?before=[^"]+)"', second)[1])  # type: ignore[index]
    final = headings(browser.get(last).text)
    assert final[-1] == "Account created"
    assert len(headings(browser.get(FEED).text)) == PER_PAGE


@pytest.mark.spec("ASVS 5.0", "7.4.3")
def test_a_sign_in_that_was_not_theirs_ends_everything_and_says_what_comes_next(asking: Asking) -> None:
    stranger = Browser(asking.app, address="203.0.113.9")
    stranger.log_in()
    token = asking.redeem(answer(decide(stranger, start(stranger)))["code"]).json
    browser = asking.browser(logged_in=True)
    bob = add_user(asking.world.services, "bob")
    bystander = asking.browser()
    bystander.log_in("bob")
    unknown = entries(browser.get(FEED).text)[1]
    page = browser.get(unknown)
    for part in ("203.0.113.0/24", "every browser is signed out, this one too"):
        assert part in page.text
    # looking changes nothing
    assert stranger.get("/account").status_code == 200
    done = browser.submit(page, NOT_ME)
    assert (done.status_code, done.location) == (303, f"{FEED}/recovery")
    assert browser.cookie("sid") is None
    after = browser.get(done.location).text
    assert 'href="/login?then=password"' in after
    assert [b.get("/account").location for b in (stranger, browser)] == ["/login"] * 2
    form = {"token": token["access_token"]}
    assert not asking.world.post("/introspect", as_="rs_accounts", form=form).json["active"]
    assert bystander.get("/account").status_code == 200
    assert told(asking.app, asking.alice)[-1] == "recovery_started"
    assert "recovery_started" not in told(asking.app, bob)
    # nor is any device known that was
    services = asking.world.services
    assert services.device_trust.list(asking.alice, None) == []
    assert services.device_trust.list(bob, None) != []
    (row,) = asking.events("recovery.started")
    assert (row["user_id"], row["outcome"]) == (asking.alice, "succeeded")
    assert set(asking.reasons("session.revoked")) == {"not_recognised"}
    # a page that was open before is of no use, and signing in leads on to the password
    assert browser.submit(page, NOT_ME).status_code == 403
    login = browser.get("/login?then=password")
    assert browser.submit(login, "/login", username="alice", password=PASSWORD).location == (
        "/account/password"
    )


def test_a_link_or_another_site_starts_no_recovery(asking: Asking) -> None:
    browser = asking.browser(logged_in=True)
    path = entries(browser.get(FEED).text)[0]
    fields = hidden_fields(browser.get(path).text, NOT_ME)
    assert browser.get(f"{NOT_ME}?entry={fields['entry']}").status_code == 405
    assert browser.post(NOT_ME, {"entry": fields["entry"]}).status_code == 403
    assert browser.post(NOT_ME, fields, Origin="https://evil.example").status_code == 403
    stale = hidden_fields(browser.get("/logout").text, "/logout")
    assert browser.post(NOT_ME, stale | {"entry": fields["entry"]}).status_code == 403
    assert browser.get("/account").status_code == 200
    away = asking.browser()
    assert away.get(FEED).location == "/login?then=activity"
    assert away.get(path).location == "/login?then=activity"
    assert asking.events("recovery.started") == []


def test_second_factors_are_told_by_name_and_an_operator_as_one(
    browser: Browser, moving_clock: Moving
) -> None:
    services = services_of(browser.app)
    user = services.users.find("alice")
    assert user is not None
    given = give_totp(browser.app, user.user_id)
    moving_clock.walk(30)
    browser.log_in()
    # half a login reads nothing
    assert browser.get(FEED).location == "/mfa?then=activity"
    prove(browser, "000000")
    prove(browser, given.app.code())
    from authserver import context

    caller = context.current.set(context.Caller("cli.1", "", actor="operator:root"))
    services.users.set_groups(user.user_id, [])
    services.audit.record(Entry(Event.MFA_REMOVED, reason="by_operator", user_id=user.user_id))
    context.current.reset(caller)
    page = browser.get(FEED).text
    assert [words for words in headings(page) if words != KNOWN][:5] == [
        "Removed: All second factors",
        "Accepted: Authenticator app",
        "A wrong code or passkey",
        "Password accepted",
        "Signed out",
    ]
    blocks = [block for block in page.split("<li>") if "<strong>" in block]
    assert ["By an operator" in block for block in blocks[:3]] == [True, False, False]


def test_every_event_that_is_shown_has_its_words() -> None:
    from authserver.web.account.activity_words import SHOWN, said

    for event in SHOWN:
        row = {"event": event, "reason": "", "detail": {}, "actor": ""}
        assert said(row, "Corner shop").strip()
    assert said({"event": "login.succeeded", "reason": "", "detail": {"amr": ["hwk"]}}, "") == (
        "Signed in with a passkey"
    )
