"""A person with a browser that speaks HTTP to a running server: cookies are kept, forms filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx
from plugins.people import PASSWORD, hidden_fields


@dataclass
class Person:
    """Somebody at the server of ``issuer``; redirects are followed within it alone."""

    issuer: str
    username: str = "alice"
    password: str = PASSWORD
    # what an authenticator app says
    code: Callable[[], str] = str
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def allow(self, authorization_url: str) -> str:
        """The address to which the client gets its answer, after a login where one is due, and consent."""
        page = self._go("GET", authorization_url)
        if page.url.path == "/login":
            page = self._submit(page, "/login", username=self.username, password=self.password)
        if page.url.path == "/consent":
            given = _account(page.text) | ({"code": self.code()} if 'name="code"' in page.text else {})
            page = self._submit(page, "/consent", decision="approve", **given)
        assert page.status_code == 303, (page.status_code, page.text)
        return str(page.headers["Location"])

    def visit(self, url: str) -> str:
        """The address outside the server to which a visit leads in the end."""
        response = self._go("GET", url)
        assert response.status_code == 303, (response.status_code, response.text)
        return str(response.headers["Location"])

    def _submit(self, page: httpx.Response, action: str, **values: str) -> httpx.Response:
        return self._go("POST", f"{self.issuer}{action}", data=hidden_fields(page.text, action) | values)

    def _go(self, method: str, url: str, data: dict[str, str] | None = None) -> httpx.Response:
        for _ in range(8):
            response = self.http.request(method, url, data=data)
            location = urljoin(url, response.headers.get("Location", ""))
            if response.status_code != 303 or not location.startswith(f"{self.issuer}/"):
                return response
            method, url, data = "GET", location, None
        raise AssertionError("the server redirects in a circle")


def _account(text: str) -> dict[str, str]:
    """The first account that a payment's page offers."""
    _, marker, rest = text.partition('name="account" value="')
    return {"account": rest.partition('"')[0]} if marker else {}
