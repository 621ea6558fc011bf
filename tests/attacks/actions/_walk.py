"""One walk past every page that the server has, by one person and one who would rather be them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from asking import CALLBACK, PAYMENT, follow, parameters
from plugins.factors import fresh_code, give_apps
from plugins.people import PASSWORD, Browser, hidden_fields
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.login.session import sessions
from authserver.oauth.interactions import table as interactions
from authserver.oauth.payment import DemoAccounts
from authserver.users import normalise

from ..runner import Run
from ._pages import send

HTML = "text/html,application/xhtml+xml"
NEW_PASSWORD = "seven brown foxes sleep"


@dataclass
class Recorder(Browser):
    """A browser that keeps every answer."""

    seen: list[TestResponse] = field(default_factory=list)

    def _open(self, method: str, path: str, headers: dict[str, str], **arguments: Any) -> TestResponse:
        answer = super()._open(method, path, headers, **arguments)
        self.seen.append(answer)
        return answer


def register(run: Run, client_id: str, name: str | None = None) -> None:
    """The client may ask for an authorization, and for a payment, at ``asking.CALLBACK``."""
    services = run.world.services
    if services.clients.get(client_id) is not None:
        return
    values = {
        "client_id": client_id,
        "client_name": name or client_id,
        "state": "active",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [CALLBACK],
        "scopes": ["openid", "profile", "offline_access", "payments:initiate"],
        "authorization_details_types": ["payment_initiation"],
        "profile": "oauth21",
        "tier": "gold",
    }
    _, secret = services.clients.create(values)
    assert secret is not None
    run.world.secrets[client_id], run.world.methods[client_id] = secret, "client_secret_basic"
    services.versions.forget()


def asked(client_id: str, **changes: str | None) -> dict[str, str]:
    """The parameters of a valid request of a registered client."""
    return parameters(client_id, **({"scope": "openid profile"} | changes))


def payment(**changes: Any) -> dict[str, str]:
    """What asks for one payment besides."""
    details = json.dumps([PAYMENT | changes])
    return {"scope": "openid payments:initiate", "authorization_details": details}


class Walk:
    """Everything that a person may see, in order; ``text`` stands wherever somebody may put a text."""

    def __init__(self, run: Run, text: str = "plain") -> None:
        self.run = run
        self.text = text
        self.mark = crypto.random_bytes(4).hex()
        self.client_id = f"walk-{self.mark}"
        register(run, self.client_id, text)
        self.username = normalise(f"{text.replace(' ', '/').replace('@', '')}-{self.mark}")
        self.user_id = self._person(self.username)
        self.browser = Recorder(run.world.app)
        self.other = Recorder(run.world.app)
        run.secrets.add(PASSWORD)

    @property
    def seen(self) -> list[TestResponse]:
        return self.browser.seen + self.other.seen

    def all(self) -> list[TestResponse]:
        """Every answer of the walk."""
        self.outside()
        self.links()
        self.way_in()
        self.questions()
        if self.run.world.services.settings.payments_open:
            self.payments()
        self.dead_ends()
        self.failures()
        self.way_out()
        return self.seen

    def outside(self) -> None:
        held = self.browser
        for path in ("/", "/login", "/logout", "/account", "/enrol", "/consent", "/authorize/resume", "/x"):
            held.get(path, Accept=HTML, User_Agent=self.text)
        held.get(f"/authorize?{_query(asked('nobody', state=self.text))}")
        elsewhere = f"https://evil.example/{self.text}"
        held.get(f"/authorize?{_query(asked(self.client_id, redirect_uri=elsewhere))}")
        held.get(f"/authorize?{_query(asked(self.client_id, state=self.text, scope='admin'))}")
        held.get(f"/login?{_query(dict.fromkeys(('notice', 'error', 'error_description'), self.text))}")
        held.post("/login", {"username": self.text, "password": self.text})

    def links(self) -> None:
        links = self.run.world.services.links
        invited = self._person(f"{self.username}.i", None)
        token = links.make(invited, "enrol")
        self.run.secrets.add(token)
        page = self.other.get(f"/enrol?token={token}")
        assert page.status_code == 200
        self.other.submit(page, "/enrol", password=self.text[:9], password_again=self.text[:9])
        self.other.submit(page, "/enrol", password=PASSWORD, password_again=PASSWORD)
        assert self.other.get(f"/enrol?token={token}").status_code == 410

    def way_in(self) -> None:
        changes = {"login_hint": self.text, "state": self.text, "nonce": self.text}
        waiting = self._ask(**changes)
        assert "/login" in waiting.request.path
        self.browser.submit(waiting, "/login", username=self.text, password=self.text)
        answer = self.browser.submit(waiting, "/login", username=self.username, password=PASSWORD)
        assert answer.status_code == 303, answer.text
        page = follow(self.browser, answer)
        assert page.request.path == "/consent"
        self.browser.submit(page, "/consent", decision=self.text)
        done = self.browser.submit(page, "/consent", decision="approve")
        assert done.status_code == 303 and done.location.startswith(CALLBACK), done.text
        self.browser.submit(page, "/consent", decision="approve")
        self.browser.log_in(self.username)

    def questions(self) -> None:
        held = self.browser
        waiting = self._ask(prompt="login", login_hint=self.text, ui_locales=self.text)
        held.submit(waiting, "/authorize/cancel")
        self._ask(prompt="none", state=self.text, response_mode="form_post")
        self._ask(state=self.text)

    def payments(self) -> None:
        held = self.browser
        account = DemoAccounts().of(self.user_id)[0].iban
        details = payment(creditorName=self.text, remittanceInformationUnstructured=self.text)
        rooms = self.run.world.services
        give_apps(rooms)
        for mode in ("query", "form_post"):
            page = self._ask(**details, state=self.text, response_mode=mode)
            assert page.status_code == 200, page.text
            held.submit(page, "/consent", decision="approve", account=self.text)
            held.submit(page, "/consent", decision="approve", account=account, code=self.text)
            code = fresh_code(rooms, self.user_id)
            held.submit(page, "/consent", decision="approve", account=account, code=code)
        page = self._ask(**details, response_mode="form_post", state=self.text)
        assert held.submit(page, "/consent", decision="deny").status_code == 200

    def dead_ends(self) -> None:
        held = self.browser
        page = self._ask(prompt="consent", state=self.text)
        txn = hidden_fields(page.text, "/consent")["txn"]
        self.other.get(f"/authorize/resume?request={txn}")
        with self.run.world.services.database.writing() as connection:
            mine = interactions.c.digest == crypto.digest(txn)
            connection.execute(update(interactions).where(mine).values(expires_at=1))
        expired = held.get(f"/authorize/resume?request={txn}")
        assert expired.status_code == 410
        held.submit(expired, "/authorize/cancel")
        held.get(f"/authorize/resume?{_query({'request': self.text})}")

    def failures(self) -> None:
        held = self.browser
        form = hidden_fields(self._ask(prompt="login").text, "/login")
        send(held, "PUT", "/login", Accept=HTML)
        held.post("/login", b"{}", **{"Content-Type": "application/json"})
        held.post("/login", b"x" * 70_000)
        held.post("/login", b"username=%ff")
        rooms = self.run.world.services
        with mock.patch.object(type(rooms.login_limits), "take", return_value=300):
            assert held.post("/login", form).status_code == 429
        with mock.patch.object(type(rooms.password_login), "attempt", side_effect=LookupError(self.text)):
            assert held.post("/login", form).status_code == 500
        with ExitStack() as stack:
            for _ in range(rooms.settings.login_hash_places):
                stack.enter_context(rooms.password_login._hasher.place())
            assert held.post("/login", form | {"username": "x", "password": "x"}).status_code == 503

    def way_out(self) -> None:
        held = self.browser
        elsewhere = Recorder(self.run.world.app)
        page = elsewhere.get("/login", User_Agent=self.text)
        elsewhere.post(
            "/login",
            hidden_fields(page.text, "/login") | {"username": self.username, "password": PASSWORD},
            User_Agent=self.text,
        )
        # seen before the other one: the list has one order
        with self.run.world.services.database.writing() as connection:
            theirs = (sessions.c.user_id == self.user_id) & (sessions.c.user_agent == self.text)
            earlier = {"last_seen_at": sessions.c.last_seen_at - 10}
            assert connection.execute(update(sessions).where(theirs).values(earlier)).rowcount == 1
        assert held.get("/account").status_code == 200
        page = held.get("/account/sessions")
        held.submit(page, "/account/sessions/end", sid=self.text)
        held.submit(page, "/account/sessions/end")
        held.get("/account/activity")
        page = held.get("/account/consents")
        if "/account/payments/withdraw" in page.text:
            held.submit(page, "/account/payments/withdraw", payment=self.text)
        held.submit(page, "/account/consents/withdraw", client_id=self.text)
        held.submit(page, "/account/consents/withdraw")
        page = held.get("/account/password")
        held.submit(page, "/account/password", password=self.text)
        new = {"new_password": NEW_PASSWORD, "new_password_again": NEW_PASSWORD}
        assert held.submit(page, "/account/password", password="x", **new).status_code == 403
        self.other.seen += elsewhere.seen
        held.submit(held.get("/logout"), "/logout")

    def _ask(self, **changes: str | None) -> TestResponse:
        query = _query(asked(self.client_id, **changes))
        return follow(self.browser, self.browser.get(f"/authorize?{query}"))

    def _person(self, username: str, password: str | None = PASSWORD) -> str:
        services = self.run.world.services
        if password is None:
            return services.users.create(username, None, self.text).user_id
        user_id = services.users.create(username, None, self.text).user_id
        hash_ = services.password_reset._hasher.hash(password)
        services.links.redeem(services.links.make(user_id, "enrol"), hash_)
        services.versions.forget()
        return user_id


def _query(values: dict[str, str]) -> str:
    return urlencode(values)
