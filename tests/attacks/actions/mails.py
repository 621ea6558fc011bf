"""Attacks by what is mailed: codes used wrongly or asked for without end, links that lead elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plugins.people import PASSWORD, Browser, hidden_fields, on_new_device
from postbox import Arrived, Mailbox
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserver.db import table_of
from authserver.mail.senders import Smtp
from authserver.models.one_time_code import OneTimeCode
from authserver.users.registry import users

from ..runner import Run
from ._door import LOCK_SECONDS, MAX_FAILURES, WRONG, Door, query_of, user
from ._pages import (
    FORGED,
    alike,
    browser,
    check_page,
    nothing_changes,
    person,
    reasons_of,
    rows_of,
    send,
    statements,
)
from ._walk import NEW_PASSWORD

CONFIRM = "/confirm-device"
SEND = "/confirm-device/send"
FORGOT = "/password/forgot"
FAILED = "mfa.failed/email_otp"
sent_codes = table_of(OneTimeCode)


@contextmanager
def _mailbox(run: Run) -> Iterator[Mailbox]:
    """A real SMTP server that the mails of the run go to."""
    senders = run.world.services.mail.senders
    before = senders["mail"]
    with Mailbox() as box:
        senders["mail"] = Smtp(run.world.services.settings.model_copy(update=box.settings()))
        try:
            yield box
        finally:
            senders["mail"] = before


def _new_device(run: Run, name: str = "alice", **values: Any) -> Browser:
    """A browser of the person that has the password right, and whose device must be confirmed."""
    held = browser(run, **values)
    cookie = on_new_device(run.world.services, user(run, name).user_id)
    run.secrets.add(cookie)
    held.set_cookie("sid", cookie)
    return held


def _sent(run: Run, box: Mailbox, held: Browser) -> str:
    """The code that was mailed to whoever asked in this browser."""
    assert held.submit(held.get(CONFIRM), SEND, channel="mail").status_code == 303
    (arrived,) = box.deliver(run.world)
    assert arrived.envelope_to == ["alice@example.com"]
    return arrived.code


def _entered(held: Browser, page: TestResponse, code: str) -> TestResponse:
    answer = held.submit(page, CONFIRM, code=code)
    assert "code=" not in answer.headers.get("Location", "")
    assert code not in answer.text
    return answer


def _refused(run: Run, held: Browser, code: str, page: TestResponse | None = None) -> None:
    answer = _entered(held, page or held.get(CONFIRM), code)
    check_page(answer)
    assert answer.status_code == 401
    assert FAILED in reasons_of(run, answer)
    assert held.get("/account").status_code == 303


def _forget_failures(run: Run) -> None:
    """What counts against people is washed away, by some other success."""
    with run.world.services.database.writing() as connection:
        connection.execute(update(users).values(failures=0, locked_until=None))


def _relabel(run: Run, purpose: str) -> None:
    """The codes that still count are for something else."""
    with run.world.services.database.writing() as connection:
        live = sent_codes.c.ended_at.is_(None)
        connection.execute(update(sent_codes).where(live).values(purpose=purpose))


def mailed_code(run: Run) -> None:
    """Twice, late, superseded, in another session, for something else: refused; in its place it is right."""
    person(run)
    with _mailbox(run) as box:
        held, other = _new_device(run), _new_device(run)
        late = _sent(run, box, held)
        for seconds in (250, 250, 101):
            # somebody is there all the while, or the session would be over, too
            run.clock.walk(seconds)
            assert held.get(CONFIRM).status_code == other.get(CONFIRM).status_code == 200
        older = _sent(run, box, held)
        _refused(run, held, late)
        newer = _sent(run, box, held)
        _refused(run, held, older)
        elsewhere = _sent(run, box, other)
        _refused(run, other, newer)
        _forget_failures(run)
        page = held.get(CONFIRM)
        for purpose in ("recovery", "confirm_device:another"):
            _relabel(run, purpose)
            _refused(run, held, newer, page)
        _relabel(run, "confirm_device")
        _forget_failures(run)
        assert _entered(held, page, newer).status_code == 303
        assert held.get("/account").status_code == 200
        # the session goes on; a code of before opens nothing in another
        _refused(run, other, newer)
        assert _entered(other, other.get(CONFIRM), elsewhere).status_code == 303
        again = _new_device(run)
        _sent(run, box, again)
        _refused(run, again, newer)
        _refused(run, again, elsewhere)


def mail_flood(run: Run, sessions: int) -> None:
    """From many sessions five mails go out; and what was guessed wrong counts on after another mail."""
    person(run)
    with _mailbox(run) as box:
        answers = []
        for number in range(sessions):
            held = _new_device(run, address=f"192.0.2.{number + 1}")
            answers.append(held.submit(held.get(CONFIRM), SEND, channel="mail"))
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(303), statuses.count(429)) == (5, sessions - 5)
        for answer in answers[5:]:
            check_page(answer)
            assert answer.headers["Retry-After"]
        assert reasons_of(run, answers[5]) == ["ratelimit.hit/email_otp"]
        assert len(box.deliver(run.world)) == 5
        run.clock.walk(601)
        guesser = _new_device(run)
        for number in range(MAX_FAILURES):
            if number in {0, 2, 4}:
                code = _sent(run, box, guesser)
            _refused(run, guesser, "1" * 8)
            _forget_failures(run)
        _refused(run, guesser, code)


def codes_in_no_log(run: Run) -> None:
    """Right, wrong, replayed, undeliverable: codes are in no line, row or page at the DEBUG level."""
    person(run)
    codes, pages = set(), []
    with _mailbox(run) as box:
        held = _new_device(run)
        codes.add(_sent(run, box, held))
        wrong = held.submit(held.get(CONFIRM), CONFIRM, code="90817263")
        box.answers["RCPT"] = "451 later"
        held.submit(held.get(CONFIRM), SEND, channel="mail")
        box.deliver(run.world)
        box.answers.clear()
        run.clock.walk(61)
        (retried,) = box.deliver(run.world)
        codes.add(retried.code)
        done = held.submit(held.get(CONFIRM), CONFIRM, code=retried.code)
        assert done.status_code == 303
        again = _new_device(run)
        _sent(run, box, again)
        replayed = again.submit(again.get(CONFIRM), CONFIRM, code=retried.code)
        link = _asked(run, box, browser(run), "alice")
        assert link is not None
        run.secrets.add(link.link.partition("token=")[2])
        pages += [wrong, done, replayed, again.get(CONFIRM), browser(run).get("/no-such-page?code=90817263")]
    assert FAILED in reasons_of(run, replayed)
    run.check_secrets()
    told = "\n".join(run.logbook.lines) + repr(run.world.events()) + "".join(page.text for page in pages)
    for code in (*codes, "90817263"):
        # as a number of its own: times have as many digits
        assert not re.search(rf"(?<!\d){code}(?!\d)", told)


# --- links ------------------------------------------------------------------------------------------


def _asked(run: Run, box: Mailbox, held: Browser, name: str) -> Arrived | None:
    answer = held.submit(held.get(FORGOT), FORGOT, username=name)
    assert answer.status_code == 200
    check_page(answer)
    assert reasons_of(run, answer) == ["reset.requested/"]
    arrived = box.deliver(run.world)
    return arrived[0] if arrived else None


def reset_asked_for(run: Run, people: list[str]) -> None:
    """The same page by the same statements for everybody; no row of the request says who it was about."""
    person(run)
    person(run, "unverified", None)
    person(run, "disabled")
    run.world.services.users.disable(user(run, "disabled").user_id)
    held = browser(run)
    fields = hidden_fields(held.get(FORGOT).text, FORGOT)
    answers, work = set(), set()
    with _mailbox(run) as box:
        for name in people:
            with statements(run.world.services) as done:
                answer = held.post(FORGOT, fields | {"username": name})
            answers.add(alike(answer))
            work.add(tuple(text for text in done if "cache_version" not in text))
            (row,) = rows_of(run, answer)
            assert (row["event"], row["user_id"], row["detail"]) == ("reset.requested", "", {})
        assert len(answers) == len(work) == 1
        # outside of the request, to the address on record alone
        assert {one.envelope_to[0] for one in box.deliver(run.world)} == {"alice@example.com"}
    with nothing_changes(run):
        for name in ("alice", "ghost"):
            assert held.get(f"{FORGOT}?{query_of(username=name)}").status_code == 200


def reset_link_host(run: Run) -> None:
    """Whatever the request says of its host, the link in the mail begins with the configured issuer."""
    person(run)
    issuer = run.world.services.settings.issuer
    links = set()
    with _mailbox(run) as box:
        for header, value in ({"Host": "evil.example", "X_Nothing": "evil.example"} | FORGED).items():
            held = browser(run)
            fields = hidden_fields(held.get(FORGOT).text, FORGOT) | {"username": "alice"}
            answer = held.post(FORGOT, fields, **{header: value})
            assert answer.status_code in (200, 400, 403), header
            assert "evil" not in answer.text + str(answer.headers)
            if answer.status_code == 200:
                assert reasons_of(run, answer) == ["reset.requested/"]
            arrived = box.deliver(run.world)
            assert len(arrived) <= (answer.status_code == 200)
            for one in arrived:
                assert re.fullmatch(re.escape(issuer) + r"/enrol\?token=[\w-]{43}", one.link)
                assert "evil" not in one.raw.decode()
                links.add(one.link)
                run.secrets.add(one.link.partition("token=")[2])
            run.clock.walk(LOCK_SECONDS + 1)
    assert len(links) > 5


# --- what people are told ---------------------------------------------------------------------------


def owner_is_told_of_the_lock(run: Run) -> None:
    """By mail, once, after the answer to the fifth failure, which took no part in it."""
    person(run)
    with _mailbox(run) as box:
        Door(run).lock("alice")
        assert box.deliver(run.world) == []
        run.clock.walk(5)
        (told,) = box.deliver(run.world)
        assert (told.envelope_to, told.subject) == (["alice@example.com"], "Your account is paused")
        for _ in range(3):
            Door(run).refused("alice", "blocked", WRONG)
        run.clock.walk(LOCK_SECONDS)
        assert box.deliver(run.world) == []


def owner_is_told_of_the_password(run: Run) -> None:
    """A change is told to the address on record, with whence it was made; a refused one is not."""
    person(run)
    held = browser(run, "alice")
    typed = {"new_password": NEW_PASSWORD, "new_password_again": NEW_PASSWORD}
    with _mailbox(run) as box:
        page = held.get("/account/password")
        assert held.submit(page, "/account/password", password=WRONG, **typed).status_code == 403
        assert box.deliver(run.world) == []
        done = held.submit(page, "/account/password", password=PASSWORD, **typed)
        assert "password.changed/" in reasons_of(run, done)
        (told,) = box.deliver(run.world)
    assert (told.envelope_to, told.subject) == (["alice@example.com"], "Your password was changed")
    assert held.address in told.text
    assert NEW_PASSWORD not in told.text
    assert send(held, "GET", "/account").status_code == 200
