"""The outbox: what a transaction queues leaves once it is committed, once, in the person's language."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plugins.app import Moving, World
from plugins.people import add_user
from postbox import FROM, Mailbox
from services import free_port
from sqlalchemy import select, update

from authserver.appearance import LANGUAGES
from authserver.db import table_of
from authserver.jobs import Job, Jobs
from authserver.mail import TEMPLATES
from authserver.mail.outbox import DELAYS, MOST_WAITING
from authserver.models.outbox import Outbox
from authserver.models.user import User
from authserver.purge import purge
from authserver.texts import Text

outbox = table_of(Outbox)
users = table_of(User)
SECRETS = {"code": "73519284", "link": "http://localhost:8000/enrol?token=s3cr3t"}


@pytest.fixture
def posting(make_world: Callable[..., World], mailbox: Mailbox) -> World:
    """A world whose mails go to ``mailbox``, with alice in it."""
    world = make_world(**mailbox.settings(operator_name="Harbour Bank"))
    add_user(world.services, "alice")
    return world


def alice_of(world: World) -> str:
    user = world.services.users.find("alice")
    assert user is not None
    return user.user_id


def queue(world: World, template: str, recipient: str = "", locale: str = "", **values: Any) -> bool:
    with world.services.database.writing() as connection:
        to = recipient or alice_of(world)
        return world.services.mail.queue_in(connection, to, template, values, locale)


def rows(world: World) -> list[Any]:
    with world.services.database.reading() as connection:
        return list(connection.execute(select(outbox).order_by(outbox.c.created_at)).all())


def test_a_queued_mail_arrives_once_and_leaves_no_row(posting: World, mailbox: Mailbox) -> None:
    assert queue(posting, "email_code", code=SECRETS["code"])
    (arrived,) = mailbox.deliver(posting)
    assert (arrived.envelope_from, arrived.envelope_to) == (FROM, ["alice@example.com"])
    assert arrived.code == SECRETS["code"]
    assert arrived.text.startswith("Hello Alice,\n\n")
    headers = arrived.mail
    assert str(headers["From"]) == f"Harbour Bank <{FROM}>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert SECRETS["code"] not in arrived.subject
    assert rows(posting) == []
    assert mailbox.deliver(posting) == []
    (told,) = posting.events("mail.sent")
    assert told["user_id"] == alice_of(posting)
    assert told["detail"] == {"template": "email_code", "channel": "mail", "attempts": 1, "over": True}


def test_what_is_rolled_back_is_never_sent(posting: World, mailbox: Mailbox) -> None:
    with pytest.raises(ZeroDivisionError), posting.services.database.writing() as connection:
        posting.services.mail.queue_in(connection, alice_of(posting), "email_code", {"code": "123456"})
        raise ZeroDivisionError
    assert mailbox.deliver(posting) == []


def test_codes_and_links_and_addresses_rest_sealed_and_are_in_no_log(
    posting: World, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        queue(posting, "email_code", code=SECRETS["code"])
        queue(posting, "reset_link", link=SECRETS["link"])
        resting = repr(rows(posting))
        mailbox.answers["RCPT"] = "451 later, 73519284 s3cr3t"
        mailbox.deliver(posting)
    assert "did not leave" in caplog.text
    found = resting + repr([record.__dict__ for record in caplog.records]) + repr(posting.events())
    for secret in ("73519284", "s3cr3t", "alice@example.com"):
        assert secret not in found
    (row,) = (one for one in rows(posting) if one.template == "email_code")
    # it can be read back, in its own row alone
    assert SECRETS["code"].encode() in posting.services.master.open(row.sealed, f"outbox.sealed.{row.id}")


def test_a_row_moved_to_another_place_or_changed_is_not_sent(posting: World, mailbox: Mailbox) -> None:
    queue(posting, "email_code", code="111111")
    queue(posting, "reset_link", link=SECRETS["link"])
    with posting.services.database.writing() as connection:
        one, other = connection.execute(select(outbox)).all()
        for row, sealed in ((one, other.sealed), (other, one.sealed[:-2] + "AA")):
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(sealed=sealed))
    assert mailbox.deliver(posting) == []
    assert [event["reason"] for event in posting.events("mail.failed")] == ["unreadable", "unreadable"]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_template_says_everything_in_every_language(
    posting: World, mailbox: Mailbox, language: str
) -> None:
    for name, template in TEMPLATES.items():
        names = template.needs | template.may
        values = dict.fromkeys(names, Text("You are signed out.")) | {
            name: value for name, value in SECRETS.items() if name in names
        }
        assert queue(posting, name, locale=language, **values)
    arrived = mailbox.deliver(posting)
    assert len(arrived) == len(TEMPLATES)
    # the code as a text message has no subject of its own
    assert len({one.subject for one in arrived}) == len(TEMPLATES) - 1
    signed_out = {"en": "You are signed out.", "de": "Sie sind abgemeldet."}[language]
    given = sum(bool(template.needs | template.may) for template in TEMPLATES.values())
    said = [one for one in arrived if signed_out in one.text or any(s in one.text for s in SECRETS.values())]
    assert len(said) == given
    for one in arrived:
        assert one.mail["Content-Language"] == language
        assert "%(" not in one.text + one.subject
        assert ("Hello Alice" in one.text) == (language == "en")


def test_what_is_not_known_is_left_out(posting: World, mailbox: Mailbox) -> None:
    queue(posting, "factor_added")
    queue(posting, "factor_added", factor=Text("Code from your authenticator app"), locale="de")
    with_, without = sorted(mailbox.deliver(posting), key=lambda one: str(one.mail["Content-Language"]))
    assert "Added to your account" not in without.text
    assert "%(" not in without.text
    assert "Zu Ihrem Benutzerkonto hinzugefügt: Code aus Ihrer Authenticator-App." in with_.text


def test_a_mail_is_in_the_language_that_the_person_reads_pages_in(posting: World, mailbox: Mailbox) -> None:
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(language="de"))
    queue(posting, "password_changed")
    queue(posting, "password_changed", locale="en")
    queue(posting, "password_changed", locale="tlh")
    subjects = sorted(one.subject for one in mailbox.deliver(posting))
    assert subjects == ["Ihr Passwort wurde geändert"] * 2 + ["Your password was changed"]


def test_a_template_takes_the_values_that_it_needs_and_no_others(posting: World) -> None:
    for values in ({}, {"code": "123456", "more": "x"}, {"link": "x"}):
        with pytest.raises(ValueError, match="email_code needs"):
            queue(posting, "email_code", **values)
    with pytest.raises(KeyError):
        queue(posting, "no_such_template")


def test_no_value_makes_a_header_or_a_paragraph_of_its_own(posting: World, mailbox: Mailbox) -> None:
    nasty = "x\r\nBcc: eve@evil.example\r\n\r\nGo to https://evil.example\u2028now\x00\x1b[31m"
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(name=nasty.replace("\0", "")))
    queue(posting, "factor_added", factor=nasty)
    (arrived,) = mailbox.deliver(posting)
    assert arrived.envelope_to == ["alice@example.com"]
    assert "Bcc" not in arrived.mail
    assert arrived.mail.get_all("To") == ["alice@example.com"]
    # nothing but what the template itself has
    lines = [line for line in arrived.text.splitlines() if "evil.example" in line]
    assert [line[:6] for line in lines] == ["Hello ", "Added "]
    assert not any(line.startswith(("Bcc", "Go to")) for line in arrived.text.splitlines())
    assert "\x1b" not in arrived.text


@pytest.mark.parametrize(
    "address",
    [
        "alice,eve@evil.example",
        "<eve@evil.example>",
        "a\r\nRCPT TO:<eve@evil.example>@x",
        '"a b"@x',
        "a@[::1]",
    ],
)
def test_nothing_is_sent_to_what_is_no_plain_address(posting: World, mailbox: Mailbox, address: str) -> None:
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(email=address))
    assert not queue(posting, "password_changed")
    assert rows(posting) == []
    assert mailbox.deliver(posting) == []
    assert [event["reason"] for event in posting.events("mail.failed")] == ["address"]


def test_a_person_without_an_address_gets_no_mail(posting: World) -> None:
    with posting.services.database.writing() as connection:
        connection.execute(update(users).values(email=None))
    assert not queue(posting, "password_changed")
    assert not queue(posting, "password_changed", recipient="nobody")


def test_the_address_that_a_person_had_can_be_told(posting: World, mailbox: Mailbox) -> None:
    assert queue(posting, "email_changed", recipient="old@example.com")
    (arrived,) = mailbox.deliver(posting)
    assert arrived.envelope_to == ["old@example.com"]
    assert arrived.text.startswith("Hello,\n")


def test_no_other_mail_goes_to_an_address_that_is_given(posting: World) -> None:
    for template in TEMPLATES.keys() - {"account_erased", "email_changed", "email_confirm"}:
        values = dict.fromkeys(TEMPLATES[template].needs, "x")
        with pytest.raises(ValueError, match="not to addresses"):
            queue(posting, template, recipient="eve@evil.example", **values)
    assert rows(posting) == []


def test_a_person_for_whom_too_many_wait_gets_no_more(posting: World) -> None:
    for _ in range(MOST_WAITING):
        assert queue(posting, "password_changed")
    assert not queue(posting, "password_changed")
    assert [event["reason"] for event in posting.events("mail.failed")] == ["queue_full"]


def test_a_refusal_for_now_is_tried_again_later_and_one_for_good_is_not(
    posting: World, mailbox: Mailbox, moving_clock: Moving
) -> None:
    queue(posting, "password_changed")
    mailbox.answers["DATA"] = "451 later"
    assert mailbox.deliver(posting) == []
    assert mailbox.deliver(posting) == []
    moving_clock.walk(DELAYS[0] + 1)
    mailbox.answers.clear()
    (arrived,) = mailbox.deliver(posting)
    assert arrived.subject == "Your password was changed"
    queue(posting, "password_changed")
    mailbox.answers["RCPT"] = "550 nobody"
    mailbox.deliver(posting)
    assert rows(posting) == []
    told = [(e["reason"], e["detail"]["over"]) for e in posting.events("mail.failed")]
    assert told == [("refused", False), ("recipient", True)]


def test_every_try_of_a_mail_bears_the_same_id(
    posting: World, mailbox: Mailbox, moving_clock: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies after the server took the mail sends it again: whoever gets both sees one."""
    queue(posting, "password_changed")
    monkeypatch.setattr(posting.services.mail, "_settle", lambda *_: None)
    first = mailbox.deliver(posting)
    moving_clock.walk(DELAYS[0] + 1)
    second = mailbox.deliver(posting)
    assert [one.mail["Message-ID"] for one in first] == [one.mail["Message-ID"] for one in second] != []


def test_after_a_day_nobody_tries_again_and_a_code_is_given_up_with_its_time(
    posting: World, mailbox: Mailbox, moving_clock: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserver.mail.outbox.AWAY_SECONDS", 0)
    queue(posting, "password_changed")
    queue(posting, "email_code", code="123456")
    mailbox.answers["DATA"] = "451 later"
    tries = 0
    while rows(posting) and tries < 100:
        mailbox.deliver(posting)
        moving_clock.walk(3600)
        tries += 1
    over = [e for e in posting.events("mail.failed") if e["detail"]["over"]]
    assert [(e["reason"], e["detail"]["template"]) for e in over] == [
        ("too_late", "email_code"),
        ("too_late", "password_changed"),
    ]
    assert 24 <= tries <= 26
    assert mailbox.arrived == []


def test_what_nobody_sent_is_purged(posting: World, moving_clock: Moving) -> None:
    queue(posting, "password_changed")
    moving_clock.walk(86_400 + 3600)
    assert purge(posting.services.database)["outbox"] == 0
    moving_clock.walk(86_400)
    assert purge(posting.services.database)["outbox"] == 1


def test_a_server_that_is_away_rests_all_mails_and_loses_none(
    make_world: Callable[..., World], moving_clock: Moving
) -> None:
    port = free_port()
    world = make_world(smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", mail_from=FROM)
    add_user(world.services, "alice")
    for _ in range(3):
        queue(world, "password_changed")
    assert world.services.mail.deliver() == 0
    # one was tried, the others wait for the server and not for their turn
    assert sorted(row.attempts for row in rows(world)) == [0, 0, 1]
    assert not world.services.mail.due()
    assert [e["reason"] for e in world.events("mail.failed")] == ["unreachable"]
    assert world.token().status_code == 200
    moving_clock.walk(100)
    ready = world.send("GET", "/readyz").json["mail"]
    assert ready == {"waiting": 3, "oldest_seconds": 100}


def test_a_server_that_says_nothing_is_given_up_in_time(make_world: Callable[..., World]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        world = make_world(
            smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", mail_from=FROM, smtp_timeout=1
        )
        add_user(world.services, "alice")
        queue(world, "password_changed")
        assert world.services.mail.deliver() == 0
    assert [e["reason"] for e in world.events("mail.failed")] == ["unreachable"]


def test_a_server_that_drips_is_given_up_in_time(make_world: Callable[..., World]) -> None:
    """Each byte is in time, and the line never ends."""
    stop = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            while not stop.wait(0.2):
                connection.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        values = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", "smtp_timeout": 1}
        world = make_world(**values, mail_from=FROM)
        add_user(world.services, "alice")
        queue(world, "password_changed")
        with ThreadPoolExecutor(1) as pool:
            delivering = pool.submit(world.services.mail.deliver)
            try:
                # three seconds, and room for a busy machine; without an end it would go on for hours
                assert delivering.result(timeout=60) == 0
            finally:
                stop.set()
                thread.join()
    assert [e["reason"] for e in world.events("mail.failed")] == ["unreachable"]


def test_of_many_workers_one_sends_a_mail(posting: World, mailbox: Mailbox) -> None:
    for _ in range(6):
        queue(posting, "password_changed")
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: posting.services.mail.deliver(), range(4)))
    assert sum(sent) == 6
    assert len(mailbox.arrived) == 6


def test_no_transaction_is_open_while_a_mail_is_sent(
    posting: World, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool: Any = posting.services.database.engine.pool
    sender = posting.services.mail.senders["mail"]
    real, out = sender.send, []

    def send(letter: Any) -> None:
        out.append(pool.checkedout())
        real(letter)

    monkeypatch.setattr(sender, "send", send)
    queue(posting, "password_changed")
    assert len(mailbox.deliver(posting)) == 1
    assert out == [0]


def test_while_a_server_says_nothing_every_other_job_goes_on(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserver.jobs.TICK", 0.01)
    done: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        world = make_world(
            smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", mail_from=FROM, smtp_timeout=60
        )
        add_user(world.services, "alice")
        queue(world, "password_changed")
        jobs = Jobs(world.services)
        jobs.calls = (Job("call", 0, lambda: done.append(1)),)
        jobs.start()
        try:
            # the mail is on its way, and will be for a minute
            connection, _ = silent.accept()
            before = len(done)
            deadline = time.monotonic() + 30
            while len(done) < before + 5 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(done) >= before + 5
            assert world.token().status_code == 200
            assert world.services.mail.waiting().count == 1
        finally:
            connection.close()
            jobs.stop()
