"""Another e-mail address: it counts once a link that was mailed there was opened by who asked for it."""

from __future__ import annotations

import json
import re

import pytest
from flask import Flask
from plugins.app import Moving, World
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import select

from authserver.app import services_of
from authserver.db import table_of
from authserver.models.outbox import Outbox

EMAIL, CONFIRM = "/account/email", "/account/email/confirm"
outbox = table_of(Outbox)


def mails(app: Flask, template: str) -> list[dict[str, str]]:
    """What waits to be sent of a template: to whom, and its values."""
    services = services_of(app)
    query = select(outbox).where(outbox.c.template == template).order_by(outbox.c.created_at)
    with services.database.reading() as connection:
        rows = connection.execute(query).all()
    opened = [json.loads(services.master.open(row.sealed, f"outbox.sealed.{row.id}")) for row in rows]
    return [{"to": one["to"]} | one["values"] for one in opened]


def ask(browser: Browser, email: str) -> str:
    """The path of the link that was mailed to ``email``."""
    assert browser.submit(browser.get(EMAIL), EMAIL, email=email).status_code == 303
    link = mails(browser.app, "email_confirm")[-1]
    assert link["to"] == email
    return link["link"].removeprefix(browser.issuer)


def address_of(browser: Browser) -> str | None:
    user = services_of(browser.app).users.find("alice")
    assert user is not None
    return user.email


def events(browser: Browser, name: str) -> list[str]:
    return [row["reason"] for row in World(browser.app, services_of(browser.app)).events(name)]


@pytest.mark.spec("ASVS 5.0", "7.4.3")
def test_it_counts_once_confirmed_and_the_old_address_is_told(
    browser: Browser, alice: str, moving_clock: Moving
) -> None:
    services = services_of(browser.app)
    other = Browser(browser.app)
    other.log_in()
    browser.log_in()
    path = ask(browser, "new@example.net")
    assert "A link was sent to new@example.net" in browser.get(EMAIL).text
    assert address_of(browser) == "alice@example.com"
    # opening it is not enough: a mail scanner does that, too
    page = browser.get(path)
    assert "new@example.net" in page.text
    assert address_of(browser) == "alice@example.com"
    done = browser.submit(page, CONFIRM)
    assert (done.status_code, done.location) == (303, "/account?notice=email_changed")
    assert address_of(browser) == "new@example.net"
    assert "new@example.net" in browser.get(done.location).text
    assert [mail["to"] for mail in mails(browser.app, "email_changed")] == ["alice@example.com"]
    assert events(browser, "user.email.changed") == [""]
    assert services.users.find("alice@example.com") is None
    # nobody asked for the others to end
    assert other.get("/account").status_code == 200
    for again in (browser.get(path), browser.submit(page, CONFIRM)):
        assert again.status_code == 404
    assert "new@example.net" not in str(mails(browser.app, "email_changed"))


def test_sessions_elsewhere_end_if_that_is_wished(browser: Browser, moving_clock: Moving) -> None:
    other = Browser(browser.app)
    other.log_in()
    browser.log_in()
    page = browser.get(ask(browser, "new@example.net"))
    assert browser.submit(page, CONFIRM, elsewhere="end").status_code == 303
    assert other.get("/account").location == "/login"
    assert browser.get("/account").status_code == 200


def test_a_link_is_its_persons_alone_once_and_for_half_an_hour(
    browser: Browser, moving_clock: Moving
) -> None:
    services = services_of(browser.app)
    add_user(services, "mallory")
    browser.log_in()
    mallory, away = Browser(browser.app), Browser(browser.app)
    mallory.log_in("mallory")
    path = ask(browser, "new@example.net")
    token = path.partition("=")[2]
    assert mallory.get(path).status_code == 404
    form = hidden_fields(mallory.get(EMAIL).text, EMAIL)
    for value in (token, "", "x" * 43, "x" * 5000):
        assert mallory.post(CONFIRM, form | {"token": value}).status_code == 404
    refused = away.get(path)
    assert (refused.status_code, "new@example.net" in refused.text) == (403, False)
    # a later one takes its place
    moving_clock.walk(61)
    later = ask(browser, "other@example.net")
    assert browser.get(path).status_code == 404
    moving_clock.walk(1800)
    browser.log_in()
    assert browser.get(later).status_code == 404
    own = hidden_fields(browser.get(EMAIL).text, EMAIL) | {"token": later.partition("=")[2]}
    assert browser.post(CONFIRM, own).status_code == 404
    assert address_of(browser) == "alice@example.com"


def test_nobody_learns_whose_an_address_is_nor_takes_it(browser: Browser, moving_clock: Moving) -> None:
    services = services_of(browser.app)
    add_user(services, "bob")
    browser.log_in()
    shown = []
    for email in ("bob@example.com", "free@example.net"):
        done = browser.submit(browser.get(EMAIL), EMAIL, email=email)
        shown.append((done.status_code, browser.get(EMAIL).text.replace(email, "X")))
        moving_clock.walk(61)
    assert shown[0] == shown[1]
    assert [mail["to"] for mail in mails(browser.app, "email_confirm")] == ["free@example.net"]
    # somebody else got it between the link and its use
    path = mails(browser.app, "email_confirm")[0]["link"].removeprefix(browser.issuer)
    page = browser.get(path)
    services.users.create("carol", "free@example.net", "Carol")
    assert browser.submit(page, CONFIRM).status_code == 404
    assert address_of(browser) == "alice@example.com"


def test_it_needs_a_fresh_session_this_form_and_an_address(browser: Browser, moving_clock: Moving) -> None:
    browser.log_in()
    fields = hidden_fields(browser.get(EMAIL).text, EMAIL)
    new = {"email": "new@example.net"}
    assert browser.get(f"{EMAIL}?email=new@example.net").status_code == 200
    for foreign in ({}, hidden_fields(browser.get("/account/data").text, "/account/data/export")):
        assert browser.post(EMAIL, foreign | new).status_code == 403
    assert browser.post(EMAIL, fields | new, Origin="https://evil.example").status_code == 403
    for odd in ("", "nobody", "a b@example.net", "a@b@c", "a" * 300 + "@example.net", "a@\r\nBcc: x@y"):
        refused = browser.post(EMAIL, fields | {"email": odd})
        assert (refused.status_code, "That is not an e-mail address." in refused.text) == (400, True), odd
    assert browser.post(EMAIL, fields | new).status_code == 303
    assert browser.post(EMAIL, fields | {"email": "b@example.net"}).status_code == 400
    moving_clock.walk(290)
    browser.get("/account")
    moving_clock.walk(11)
    refused = browser.post(EMAIL, fields | {"email": "b@example.net"})
    assert (refused.status_code, 'href="/login?then=email"' in refused.text) == (403, True)
    assert "Nothing was done." in refused.text
    assert events(browser, "account.change.rejected") == ["session_stale"]
    assert re.search(rf'<form[^>]*action="{EMAIL}"', browser.get(EMAIL).text) is None
    assert len(mails(browser.app, "email_confirm")) == 1
    assert Browser(browser.app).get(EMAIL).location == "/login?then=email"
