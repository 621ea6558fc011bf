"""Codes by mail and text message: once, in time, for one session and purpose, and never many."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.app import Moving, World
from plugins.people import Browser, add_user, on_new_device
from postbox import Mailbox
from receiver import Receiver
from sqlalchemy import select, update

from authserver import acr
from authserver.db import table_of
from authserver.login import Sent, SessionView
from authserver.login.email_otp import CONFIRM_DEVICE, MOST
from authserver.models.one_time_code import OneTimeCode
from authserver.models.user import User
from authserver.purge import purge
from authserver.users import MAX_FAILURES, UserRecord

codes = table_of(OneTimeCode)
users = table_of(User)


def alice_of(world: World) -> UserRecord:
    user = world.services.users.find("alice")
    assert user is not None
    return user


def session_of(world: World, user_id: str) -> SessionView:
    """A session of the person, whose device must be confirmed."""
    session = world.services.sessions.read(on_new_device(world.services, user_id))
    assert session is not None
    return session


@pytest.fixture
def session(posting: World) -> SessionView:
    return session_of(posting, alice_of(posting).user_id)


def sent_code(world: World, mailbox: Mailbox, session: SessionView) -> str:
    assert world.services.email_otp.send(alice_of(world), session.sid) is Sent.SENT
    (arrived,) = mailbox.deliver(world)
    assert arrived.envelope_to == ["alice@example.com"]
    return arrived.code


def confirm(world: World, session: SessionView, code: str, user: UserRecord | None = None) -> str | None:
    return world.services.email_otp.confirm_device(user or alice_of(world), session, code, "192.0.2.20")


def relabel(world: World, purpose: str) -> None:
    """The codes that still count are for something else."""
    with world.services.database.writing() as connection:
        connection.execute(update(codes).where(codes.c.ended_at.is_(None)).values(purpose=purpose))


def failures(world: World) -> int:
    return alice_of(world).failures


@pytest.mark.spec("ASVS 5.0", "6.5.1")
def test_a_code_counts_once(posting: World, mailbox: Mailbox, session: SessionView) -> None:
    code = sent_code(posting, mailbox, session)
    assert len(code) == 8
    cookie = confirm(posting, session, f" {code[:4]} {code[4:]} ")
    # of the session as it is by now: its old cookie would be refused whatever the code
    confirmed = posting.services.sessions.read(cookie)
    assert confirmed is not None
    assert (confirmed.sid, confirmed.confirm) == (session.sid, False)
    assert confirm(posting, confirmed, code) is None
    assert [e["reason"] for e in posting.events("mfa.failed")] == ["email_otp"]
    (told,) = posting.events("mfa.succeeded")
    assert (told["reason"], told["detail"]) == ("email_otp", {"purpose": CONFIRM_DEVICE, "channel": "mail"})


@pytest.mark.spec("ASVS 5.0", "6.5.5")
def test_a_code_counts_for_ten_minutes(
    moving_clock: Moving, posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    code = sent_code(posting, mailbox, session)
    moving_clock.walk(600)
    assert confirm(posting, session, code) is None
    code = sent_code(posting, mailbox, session)
    moving_clock.walk(599)
    assert confirm(posting, session, code)


@pytest.mark.spec("ASVS 5.0", "6.6.2")
def test_a_code_is_of_one_person_session_and_purpose(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    bob = posting.services.users.must(add_user(posting.services, "bob"))
    code = sent_code(posting, mailbox, session)
    assert confirm(posting, session_of(posting, session.user_id), code) is None
    relabel(posting, "recovery")
    assert confirm(posting, session, code) is None
    relabel(posting, CONFIRM_DEVICE)
    assert confirm(posting, session_of(posting, bob.user_id), code, bob) is None
    assert confirm(posting, session, code, bob) is None
    assert confirm(posting, session, code)


def test_the_next_code_ends_the_one_before_and_no_other(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    other = session_of(posting, session.user_id)
    elsewhere = sent_code(posting, mailbox, other)
    first = sent_code(posting, mailbox, session)
    second = sent_code(posting, mailbox, session)
    assert confirm(posting, session, first) is None
    assert confirm(posting, session, second)
    assert confirm(posting, other, elsewhere)


def test_a_code_that_was_followed_while_it_was_judged_confirms_nothing(
    posting: World, mailbox: Mailbox, session: SessionView, monkeypatch: pytest.MonkeyPatch
) -> None:
    otp = posting.services.email_otp
    code, usual = sent_code(posting, mailbox, session), otp._fits

    def slow(*arguments: str) -> bool:
        assert otp.send(alice_of(posting), session.sid) is Sent.SENT
        return usual(*arguments)

    monkeypatch.setattr(otp, "_fits", slow)
    assert confirm(posting, session, code) is None
    monkeypatch.undo()
    assert posting.events("mfa.succeeded") == []
    assert alice_of(posting).email_verified_at is None
    (next_one,) = mailbox.deliver(posting)
    assert confirm(posting, session, next_one.code)


def test_a_code_confirms_no_session_that_has_ended_or_was_renewed(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    services = posting.services
    code = sent_code(posting, mailbox, session)
    renewed = replace(session, digest=b"of the cookie before")
    assert confirm(posting, renewed, code) is None
    assert services.sessions.end(session.sid, "logout")
    assert confirm(posting, session, code) is None
    # nothing is left of it but the two tries
    assert posting.events("mfa.succeeded") == []
    assert failures(posting) == 2
    assert services.email_otp.waiting(alice_of(posting), session.sid)


def test_five_tries_are_five_whatever_is_sent_in_between(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    """Something else that counts as success must not give a code more tries than it has."""
    wash = update(users).values(failures=0, locked_until=None)
    code = sent_code(posting, mailbox, session)
    for number in range(5):
        if number == 3:
            code = sent_code(posting, mailbox, session)
        assert confirm(posting, session, "x") is None
        with posting.services.database.writing() as connection:
            connection.execute(wash)
    assert confirm(posting, session, code) is None
    assert confirm(posting, session, sent_code(posting, mailbox, session)) is None


def test_each_wrong_code_is_an_attempt_at_the_person_and_the_fifth_locks(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    code = sent_code(posting, mailbox, session)
    others = [session_of(posting, session.user_id) for _ in range(MAX_FAILURES - 1)]
    for one in (session, *others):
        assert confirm(posting, one, "12345678") is None
    assert confirm(posting, session, code) is None
    assert alice_of(posting).locked_until is not None
    assert [e["reason"] for e in posting.events("account.blocked")] == ["five_failures"]


def test_a_right_code_counts_for_nothing_else(posting: World, mailbox: Mailbox, session: SessionView) -> None:
    """Who knows a password and reads mails has no more guesses at a second factor than others."""
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(failures=MAX_FAILURES - 1))
    assert confirm(posting, session, sent_code(posting, mailbox, session))
    assert failures(posting) == MAX_FAILURES - 1
    assert alice_of(posting).locked_until is None


def test_of_many_who_enter_a_code_at_once_one_is_right(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    code = sent_code(posting, mailbox, session)
    with ThreadPoolExecutor(4) as pool:
        cookies = list(pool.map(lambda _: confirm(posting, session, code), range(4)))
    (cookie,) = filter(None, cookies)
    assert posting.services.sessions.read(cookie) is not None
    assert len(posting.events("mfa.succeeded")) == 1
    assert len(posting.events("mfa.failed")) == failures(posting) == 3


def test_the_person_is_known_to_read_their_mails_afterwards(
    posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    assert alice_of(posting).email_verified_at is None
    assert confirm(posting, session, sent_code(posting, mailbox, session))
    assert alice_of(posting).email_verified_at is not None


@pytest.mark.spec("ASVS 5.0", "6.6.4")
def test_a_person_gets_five_codes_in_ten_minutes_over_all_sessions(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    otp, user = posting.services.email_otp, alice_of(posting)
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda n: otp.send(user, f"session {n}"), range(12)))
    assert sent.count(Sent.SENT) == MOST
    assert sent.count(Sent.TOO_MANY) == 12 - MOST
    assert [e["reason"] for e in posting.events("ratelimit.hit")] == ["email_otp"]
    assert len(mailbox.deliver(posting)) == MOST
    moving_clock.walk(599)
    assert otp.send(user, "one more") is Sent.TOO_MANY
    moving_clock.walk(2)
    assert otp.send(user, "one more") is Sent.SENT


def test_no_code_goes_to_who_cannot_be_reached_or_may_not_log_in(posting: World) -> None:
    otp, user = posting.services.email_otp, alice_of(posting)
    assert otp.channels(user) == ["mail"]
    assert otp.send(user, "one", "sms") is Sent.NOWHERE
    posting.services.users.disable(user.user_id)
    assert otp.send(user, "one") is Sent.NOWHERE
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(email=None))
    assert otp.send(alice_of(posting), "one") is Sent.NOWHERE


def test_a_code_rests_as_a_mac_and_is_purged(
    moving_clock: Moving, posting: World, mailbox: Mailbox, session: SessionView
) -> None:
    code = sent_code(posting, mailbox, session)
    with posting.services.database.reading() as connection:
        assert code not in repr(connection.execute(select(codes)).all())
    moving_clock.walk(601)
    assert purge(posting.services.database)["one_time_code"] == 1


def test_a_code_goes_by_text_message_to_the_number_on_record(
    make_world: Callable[..., World], mailbox: Mailbox, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-the-service")
    with Receiver() as service:
        world = make_world(**mailbox.settings(sms_url=service.uri, sms_token_file=token))
        add_user(world.services, "alice")
        world.services.contacts.set_phone(alice_of(world).user_id, "+49 (151) 2345-6789")
        user = alice_of(world)
        assert world.services.email_otp.channels(user) == ["mail", "sms"]
        session = session_of(world, user.user_id)
        assert world.services.email_otp.send(user, session.sid, "sms") is Sent.SENT
        assert mailbox.deliver(world) == []
        (heard,) = service.heard
        told = json.loads(heard.body)
        assert (told["to"], told["language"]) == ("+4915123456789", "en")
        assert heard.content_type == "application/json"
        code = told["text"].partition("code is ")[2][:8]
        assert confirm(world, session, code)
    # it says nothing about the mails
    assert alice_of(world).email_verified_at is None
    assert [e["detail"]["channel"] for e in world.events("mail.sent")] == ["sms"]


@pytest.mark.parametrize(
    ("status", "reason", "over"),
    [
        (400, "refused", True),
        (429, "refused", False),
        (401, "authentication", False),
        (503, "unreachable", False),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_service_of_text_messages_answers_decides_on_another_try(
    make_world: Callable[..., World], status: int, reason: str, over: bool
) -> None:
    with Receiver(status) as service:
        world = make_world(sms_url=service.uri)
        add_user(world.services, "alice")
        world.services.contacts.set_phone(alice_of(world).user_id, "+4915123456789")
        assert world.services.email_otp.send(alice_of(world), "one", "sms") is Sent.SENT
        assert world.services.mail.deliver() == 0
    assert [(e["reason"], e["detail"]["over"]) for e in world.events("mail.failed")] == [(reason, over)]
    assert world.services.mail.waiting().count == (not over)


def waiting_browser(world: World) -> Browser:
    """A browser of alice, whose device must be confirmed."""
    browser = Browser(world.app)
    browser.set_cookie("sid", on_new_device(world.services, alice_of(world).user_id))
    return browser


def test_a_new_device_opens_nothing_until_the_mailed_code_was_entered(
    posting: World, mailbox: Mailbox
) -> None:
    browser = waiting_browser(posting)
    assert browser.get("/account").status_code == 303
    page = browser.get("/confirm-device")
    assert page.status_code == 200
    assert "a…@example.com" in page.text
    assert "alice@example.com" not in page.text
    # looking at the page sends nothing
    assert mailbox.deliver(posting) == []
    assert browser.submit(page, "/confirm-device/send", channel="mail").status_code == 303
    (arrived,) = mailbox.deliver(posting)
    page, before = browser.get("/confirm-device"), browser.cookie("sid")
    refused = browser.submit(page, "/confirm-device", code="00000000")
    assert refused.status_code == 401
    assert arrived.code not in refused.text
    done = browser.submit(refused, "/confirm-device", code=arrived.code)
    assert (done.status_code, done.location) == (303, "/account")
    # another cookie: who had the one from before has nothing
    assert browser.cookie("sid") != before
    assert browser.get("/account").status_code == 200
    session = posting.services.sessions.read(browser.cookie("sid"))
    assert session is not None
    assert (session.acr, session.amr) == (acr.PASSWORD, ("pwd",))
    assert browser.get("/confirm-device").location == "/account"


def test_the_sixth_code_is_refused_with_what_to_do_next(posting: World) -> None:
    browser = waiting_browser(posting)
    for _ in range(MOST):
        assert browser.submit(browser.get("/confirm-device"), "/confirm-device/send").status_code == 303
    refused = browser.submit(browser.get("/confirm-device"), "/confirm-device/send")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "600"


def test_nobody_without_such_a_session_sends_or_enters_a_code(posting: World, mailbox: Mailbox) -> None:
    page = waiting_browser(posting)
    form = page.get("/confirm-device")
    other = Browser(posting.app)
    assert other.get("/confirm-device").location == "/login"
    assert other.submit(form, "/confirm-device/send").status_code == 403
    assert other.log_in("alice").status_code == 303
    assert other.get("/confirm-device").location == "/account"
    assert mailbox.deliver(posting) == []


def test_who_cannot_be_reached_is_told_whom_to_ask(posting: World) -> None:
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(email=None))
    browser = waiting_browser(posting)
    assert "No code can be sent to you" in browser.get("/confirm-device").text
