"""Second factors for tests: a person's authenticator app, held outside of the server as in life."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver import acr, clock
from authserver.app import services_of
from authserver.db import table_of
from authserver.login import totp
from authserver.models.outbox import Outbox

from .people import Browser

SECURITY = "/account/security"


@dataclass
class App:
    """An authenticator app with one secret."""

    secret: str

    def code(self, drift: int = 0) -> str:
        """The code of the present time step, or of one ``drift`` steps away."""
        return totp.code_at(self.secret, totp.step_at(clock.now()) + drift)


@dataclass
class Enrolled:
    """A person with a second factor: their app and their recovery codes."""

    app: App
    codes: list[str]


def give_totp(app: Flask, user_id: str) -> Enrolled:
    """The person has set up an authenticator app, with the code of the step before the present one."""
    services = services_of(app)
    sessions = services.sessions
    cookie = sessions.start(user_id, acr=acr.PASSWORD, amr=("pwd",))
    session = sessions.read(cookie)
    assert session is not None
    begun = services.factor_changes.begin_totp(session, "someone")
    assert begun is not None
    authenticator = App(begun.secret)
    done = services.factor_changes.confirm_totp(session, begun.totp_id, authenticator.code(-1))
    assert done is not None
    sessions.end(session.sid, "logout")
    return Enrolled(authenticator, done.codes)


def prove(browser: Browser, code: str, factor: str = "totp") -> TestResponse:
    """The answer to a code of this kind on the page that asks for a second factor."""
    page = browser.get("/mfa")
    return browser.submit(page, "/mfa", code=code, factor=factor)


def begin(browser: Browser) -> tuple[TestResponse, App]:
    """The page that shows a new secret, and an app that has read it."""
    page = browser.submit(browser.get(SECURITY), "/account/totp")
    found = re.search(r"<code>([A-Z2-7 ]{39})</code>", page.text)
    assert found
    return page, App(found[1].replace(" ", ""))


def codes_of(page: TestResponse) -> list[str]:
    """The recovery codes that a page shows."""
    return re.findall(r"<li><code>([0-9A-Z-]{29})</code>", page.text)


def told(app: Flask, user_id: str) -> list[str]:
    """The templates of the messages that wait for the person, the oldest first."""
    outbox = table_of(Outbox)
    query = select(outbox.c.template).where(outbox.c.user_id == user_id).order_by(outbox.c.created_at)
    with services_of(app).database.reading() as connection:
        return list(connection.execute(query).scalars())
