"""People for tests, and browsers that they use: cookies are kept, forms are filled in as they were given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from authserver import acr
from authserver.app import services_of
from authserver.login.session_view import Login
from authserver.services import Services

PASSWORD = "a purple dog walks home"


@dataclass
class Browser:
    """One browser at ``app``."""

    app: Flask
    address: str = "192.0.2.20"
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.app, TestResponse)

    @property
    def issuer(self) -> str:
        return services_of(self.app).settings.issuer

    def get(self, path: str, **headers: str) -> TestResponse:
        return self._open("GET", path, headers)

    def post(self, path: str, form: dict[str, str] | bytes, **headers: str) -> TestResponse:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return self._open("POST", path, headers, data=form)

    def submit(self, page: TestResponse, action: str, **values: str) -> TestResponse:
        """The form of ``page`` for ``action`` with its hidden fields and ``values``."""
        return self.post(action, hidden_fields(page.text, action) | values)

    def log_in(self, username: str = "alice", password: str = PASSWORD, request: str = "") -> TestResponse:
        page = self.get("/login" + (f"?request={request}" if request else ""))
        if page.status_code == 303:
            return page
        return self.submit(page, "/login", username=username, password=password)

    def cookie(self, name: str) -> str | None:
        held = self.client.get_cookie(name, domain="localhost")
        return None if held is None else held.value

    def set_cookie(self, name: str, value: str) -> None:
        self.client.set_cookie(name, value, domain="localhost")

    def _open(self, method: str, path: str, headers: dict[str, str], **arguments: Any) -> TestResponse:
        return self.client.open(
            path,
            method=method,
            base_url=self.issuer,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            environ_overrides={"REMOTE_ADDR": self.address},
            **arguments,
        )


def hidden_fields(text: str, action: str) -> dict[str, str]:
    """The hidden fields of the form of a page that goes to ``action``."""
    form = re.search(rf'<form[^>]* action="{re.escape(action)}"[^>]*>(.*?)</form>', text, re.S)
    assert form, f"the page has no form for {action}"
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[1])
    return dict(found)


def add_user(services: Services, username: str, password: str | None = PASSWORD) -> str:
    """The user id of a new person; without a password they stay invited."""
    user = services.users.create(username, f"{username}@example.com", username.title())
    if password is not None:
        hash_ = services.password_reset._hasher.hash(password)
        assert services.links.redeem(services.links.make(user.user_id, "enrol"), hash_) == user.user_id
    services.versions.forget()
    return user.user_id


def on_new_device(services: Services, user_id: str, address: str = "") -> str:
    """The cookie of a session that has the person's password right, and whose device must be confirmed."""
    login = Login(user_id, acr.PASSWORD, ("pwd",), address, "", confirm=True)
    with services.database.writing() as connection:
        return services.sessions.start_in(connection, login)


@pytest.fixture
def alice(services: Services) -> str:
    """The user id of alice, who has a password."""
    return add_user(services, "alice")


@pytest.fixture
def browser(app: Flask, alice: str) -> Browser:
    """A browser of alice, not logged in yet."""
    return Browser(app)


@pytest.fixture
def make_browser(app: Flask, alice: str) -> Callable[..., Browser]:
    """Makes other browsers at the same app."""
    return lambda **values: Browser(app, **values)
