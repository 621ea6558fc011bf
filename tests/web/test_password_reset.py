"""A new password by mail: nobody learns who has an account, and a link does what it says and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plugins.app import Moving, World
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from postbox import Arrived, Mailbox
from sqlalchemy import event, select, update
from test_query_budgets import statements

from authserver.db import table_of
from authserver.models.factor import TotpSecret
from authserver.models.user import ResetRequest, User
from authserver.purge import purge

users = table_of(User)
requests = table_of(ResetRequest)
NEW = "another purple dog walks home"
NAMES = (
    "alice",
    "alice@example.com",
    "ghost",
    "ghost@example.com",
    "locked",
    "disabled",
    "invited",
    "",
    "x" * 300,
)


def ask(world: World, name: str = "alice") -> None:
    browser = Browser(world.app)
    answer = browser.submit(browser.get("/password/forgot"), "/password/forgot", username=name)
    assert answer.status_code == 200


def set_password(world: World, mail: Arrived, password: str = NEW) -> int:
    browser = Browser(world.app)
    page = browser.get(mail.link.removeprefix(browser.issuer))
    if page.status_code != 200:
        return page.status_code
    return browser.submit(page, "/enrol", password=password, password_again=password).status_code


def test_the_page_of_login_leads_there(posting: World) -> None:
    assert 'href="/password/forgot"' in Browser(posting.app).get("/login").text


def test_a_link_arrives_sets_the_password_once_and_that_is_told(posting: World, mailbox: Mailbox) -> None:
    held = Browser(posting.app)
    assert held.log_in("alice").status_code == 303
    ask(posting)
    (mail,) = mailbox.deliver(posting)
    assert mail.envelope_to == ["alice@example.com"]
    assert mail.link.startswith(f"{posting.services.settings.issuer}/enrol?token=")
    assert set_password(posting, mail) == 303
    (told,) = mailbox.deliver(posting)
    assert told.subject == "Your password was reset"
    # whoever was signed in is not any more
    assert held.get("/account").status_code == 303
    assert set_password(posting, mail) == 410
    assert Browser(posting.app).log_in("alice", PASSWORD).status_code == 401
    assert Browser(posting.app).log_in("alice", NEW).status_code == 303


@pytest.mark.spec("ASVS 5.0", "6.4.1")
def test_a_link_works_for_half_an_hour_and_until_the_next_one(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    ask(posting)
    (first,) = mailbox.deliver(posting)
    ask(posting)
    (second,) = mailbox.deliver(posting)
    assert set_password(posting, first) == 410
    moving_clock.walk(1800)
    assert set_password(posting, second) == 410


@pytest.mark.spec("ASVS 5.0", "6.3.8")
def test_the_answer_the_statements_and_the_rows_are_the_same_for_everybody(
    posting: World, mailbox: Mailbox
) -> None:
    services = posting.services
    add_user(services, "invited", None)
    services.users.disable(add_user(services, "disabled"))
    add_user(services, "locked")
    with services.database.writing() as connection:
        locked = users.c.username == "locked"
        connection.execute(update(users).where(locked).values(failures=5, locked_until=2**40))
    browser = Browser(posting.app)
    fields = hidden_fields(browser.get("/password/forgot").text, "/password/forgot")
    seen, commits = set(), list[object]()
    event.listen(services.database.engine, "commit", commits.append)
    for name in NAMES:
        commits.clear()
        with statements(services) as done:
            answer = browser.post("/password/forgot", fields | {"username": name})
        headers = tuple((k, v) for k, v in answer.headers.items() if k != "X-Request-Id")
        work = tuple(s for s in done if not s.startswith("SELECT cache_version"))
        seen.add((answer.status_code, headers, answer.text, work, len(commits)))
    assert len(seen) == 1
    with services.database.reading() as connection:
        resting = connection.execute(select(requests)).all()
    assert len({len(row.sealed) for row in resting}) == 1
    assert "alice" not in repr(resting) + repr(posting.events("reset.requested"))
    assert len(posting.events("reset.requested")) == len(NAMES)
    # the job alone finds out
    arrived = mailbox.deliver(posting)
    assert sorted(one.envelope_to for one in arrived) == [["alice@example.com"]] * 2 + [
        ["locked@example.com"]
    ]


def test_a_name_in_another_spelling_is_the_same_and_nobody_else_is_written_to(
    posting: World, mailbox: Mailbox
) -> None:
    for name in ("\uff21lice", "alice@example.com,eve@evil.example", "eve@evil.example", "alice\r\nBcc: x@y"):
        ask(posting, name)
    (mail,) = mailbox.deliver(posting)
    assert mail.envelope_to == ["alice@example.com"]


@pytest.mark.spec("ASVS 5.0", "6.4.3")
def test_a_new_password_leaves_second_factors_as_they_are_and_unlocks_nobody_who_has_one(
    posting: World, mailbox: Mailbox
) -> None:
    services, alice = posting.services, posting.services.users.find("alice")
    assert alice is not None
    row = {"totp_id": "t", "user_id": alice.user_id, "sid": "", "created_at": 0, "confirmed_at": 1}
    row |= {"last_step": 0, "secret": services.master.seal(b"JBSWY3DPEHPK3PXP", "totp_secret/secret/t")}
    with services.database.writing() as connection:
        connection.execute(table_of(TotpSecret).insert().values(row))
        connection.execute(update(users).values(failures=5, locked_until=2**40))
    ask(posting)
    (mail,) = mailbox.deliver(posting)
    assert set_password(posting, mail) == 303
    assert services.mfa.factors(alice.user_id).totp == "t"
    assert services.users.must(alice.user_id).locked_until == 2**40
    with services.database.writing() as connection:
        connection.execute(update(users).values(failures=0, locked_until=None))
    browser = Browser(posting.app)
    assert browser.log_in("alice", NEW).status_code == 303
    assert browser.get("/account").location == "/mfa"


def test_without_a_second_factor_a_new_password_unlocks(posting: World, mailbox: Mailbox) -> None:
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(failures=5, locked_until=2**40))
    ask(posting)
    (mail,) = mailbox.deliver(posting)
    assert set_password(posting, mail) == 303
    assert Browser(posting.app).log_in("alice", NEW).status_code == 303


@pytest.mark.spec("ASVS 5.0", "6.6.4")
def test_a_person_gets_three_links_in_half_an_hour(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    for _ in range(6):
        ask(posting)
    assert len(mailbox.deliver(posting)) == 3
    assert {row["reason"] for row in posting.events("ratelimit.hit")} == {"password_reset"}
    moving_clock.walk(1801)
    ask(posting)
    assert len(mailbox.deliver(posting)) == 1


def test_one_address_cannot_ask_without_end(make_world: Callable[..., World]) -> None:
    world = make_world(limit_login_address="3/300")
    browser = Browser(world.app)
    page = browser.get("/password/forgot")
    got = [browser.submit(page, "/password/forgot", username="ghost").status_code for _ in range(5)]
    assert got == [200, 200, 200, 429, 429]


def test_a_request_that_no_job_saw_in_time_is_nobodys(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    ask(posting)
    moving_clock.walk(1801)
    assert mailbox.deliver(posting) == []
    ask(posting)
    moving_clock.walk(1801)
    assert purge(posting.services.database)["reset_request"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_no_mails_are_sent_nobody_is_asked_for_a_name(make_world: Callable[..., World]) -> None:
    production = {"issuer": "https://auth.example.com", "profile": "production", "argon2_time_cost": 3}
    browser = Browser(make_world(**production).app)
    assert browser.get("/password/forgot").status_code == 404
    assert "/password/forgot" not in browser.get("/login").text


def test_a_changed_password_is_told(posting: World, mailbox: Mailbox) -> None:
    browser = Browser(posting.app)
    browser.log_in("alice")
    typed = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert browser.submit(browser.get("/account/password"), "/account/password", **typed).status_code == 303
    (told,) = mailbox.deliver(posting)
    assert told.subject == "Your password was changed"
    assert "From the network address: 192.0.2.20." in told.text


def test_the_owner_of_a_locked_account_is_told_once_and_not_before_it_is_locked(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    for _ in range(4):
        assert Browser(posting.app).log_in("alice", "wrong-password-1").status_code == 401
    assert mailbox.deliver(posting) == []
    # the fifth is counted before it is judged: who is right then is locked for a moment and told nothing
    assert Browser(posting.app).log_in("alice", PASSWORD).status_code == 303
    moving_clock.walk(10)
    assert mailbox.deliver(posting) == []
    for _ in range(7):
        assert Browser(posting.app).log_in("alice", "wrong-password-1").status_code == 401
    moving_clock.walk(10)
    (told,) = mailbox.deliver(posting)
    assert told.subject == "Your account is paused"
    moving_clock.walk(3600)
    assert mailbox.deliver(posting) == []
    for _ in range(5):
        Browser(posting.app).log_in("alice", "wrong-password-1")
    moving_clock.walk(10)
    assert len(mailbox.deliver(posting)) == 1


def test_mails_are_in_the_language_of_the_last_login(posting: World, mailbox: Mailbox) -> None:
    browser = Browser(posting.app)
    browser.set_cookie("lang", "de.1")
    assert browser.log_in("alice").status_code == 303
    ask(posting)
    (mail,) = mailbox.deliver(posting)
    assert mail.mail["Content-Language"] == "de"
