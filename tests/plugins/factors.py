"""Second factors for tests: a person's authenticator app, held outside of the server as in life."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import insert, select, update
from werkzeug.test import TestResponse

from authserver import acr, clock, crypto
from authserver.app import services_of
from authserver.db import table_of
from authserver.login import totp
from authserver.login.totp_secrets import place_of
from authserver.models.factor import TotpSecret
from authserver.models.outbox import Outbox
from authserver.models.user import User
from authserver.services import Services

from .people import Browser

SECURITY = "/account/security"
secrets = table_of(TotpSecret)
users = table_of(User)


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


def give_apps(services: Services) -> None:
    """Everybody has an authenticator app: for tests of what comes after setting one up."""
    with services.database.reading() as connection:
        having = select(secrets.c.user_id).where(secrets.c.confirmed_at.is_not(None))
        lacking = select(users.c.user_id).where(users.c.user_id.not_in(having))
        user_ids = connection.execute(lacking).scalars().all()
    for user_id in user_ids:
        give_app(services, user_id)


def give_app(services: Services, user_id: str) -> None:
    """The person has an authenticator app, put where it rests."""
    totp_id, secret = crypto.identifier(), totp.new_secret()
    values = {
        "totp_id": totp_id, "user_id": user_id, "sid": "", "last_step": 0, "created_at": 1, "confirmed_at": 1,
        "secret": services.master.seal(secret.encode(), place_of(totp_id)),
    }  # fmt: skip
    with services.database.writing() as connection:
        connection.execute(insert(secrets).values(values))


def fresh_code(services: Services, user_id: str) -> str:
    """A code of the person's app that counts, though one of the same half minute was used before."""
    mine = (secrets.c.user_id == user_id) & secrets.c.confirmed_at.is_not(None)
    with services.database.writing() as connection:
        row = connection.execute(update(secrets).where(mine).values(last_step=0).returning(secrets)).one()
    return App(services.master.open(row.secret, place_of(row.totp_id)).decode()).code()


def code_for(services: Services, cookie: str | None) -> str:
    """``fresh_code`` of whoever has the session of this cookie."""
    user_id = services.sessions.owner(cookie)
    assert user_id is not None
    return fresh_code(services, user_id)


def sign_in(browser: Browser, username: str = "alice") -> None:
    """The person of ``give_apps`` is logged in, by password and code."""
    assert browser.log_in(username).status_code == 303
    assert prove(browser, code_for(services_of(browser.app), browser.cookie("sid"))).status_code == 303


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
