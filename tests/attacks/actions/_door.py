"""The login form, and the form of a link, in a browser that tries them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from plugins.people import hidden_fields
from werkzeug.test import TestResponse

from authserver.users import UserRecord

from ..runner import Run
from ._pages import browser, check_page, reasons_of

WRONG = "wrong-password-1"
# PSD2 RTS art. 4(3)(b) and PCI DSS 8.3.4, as the rules have them and whatever the code says
MAX_FAILURES, LOCK_SECONDS = 5, 1800


class Door:
    """The login form in one browser, tried again and again."""

    def __init__(self, run: Run, **values: Any) -> None:
        self.run = run
        self.browser = browser(run, **values)
        self.fields = hidden_fields(self.browser.get("/login").text, "/login")

    def attempt(self, name: str, password: str = WRONG, /, **more: str) -> TestResponse:
        return self.browser.post("/login", self.fields | {"username": name, "password": password} | more)

    def refused(self, name: str, reason: str, password: str = WRONG) -> TestResponse:
        """The answer to an attempt that failed for ``reason``, which the log alone knows."""
        answer = self.attempt(name, password)
        assert answer.status_code == 401, (name, answer.status_code)
        check_page(answer, password)
        told = [text for text in reasons_of(self.run, answer) if text.startswith("login.")]
        assert told == [f"login.failed/{reason}"], (name, told)
        assert self.browser.cookie("sid") is None
        return answer

    def lock(self, name: str) -> None:
        """Five wrong passwords have locked ``name``."""
        for _ in range(MAX_FAILURES):
            self.refused(name, "bad_password")


def set_password(run: Run, token: str, password: str, /, **more: str) -> TestResponse:
    """What a link's form answers to a new password."""
    run.secrets.add(token)
    held = browser(run)
    page = held.get(f"/enrol?token={token}")
    if page.status_code != 200:
        return page
    return held.submit(page, "/enrol", **{"password": password, "password_again": password} | more)


def user(run: Run, name: str = "alice") -> UserRecord:
    found = run.world.services.users.find(name)
    assert found is not None
    return found


def query_of(**values: str) -> str:
    return urlencode(values)
