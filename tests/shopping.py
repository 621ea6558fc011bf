"""The demo in this process, over real HTTP: issuer, shop and payments API, and browsers that buy there."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from plugins.app import make_settings
from plugins.factors import fresh_code, give_apps
from plugins.people import hidden_fields
from werkzeug import Response
from werkzeug.serving import WSGIRequestHandler, make_server

from authserver import demo
from authserver.app import create_app as create_issuer
from authserver.app import services_of
from examples.payments_api import app as payments_api
from examples.payments_api import merchant, site
from examples.payments_api.settings import Settings, ShopSettings

CALLBACK = "/shop/callback"


class _Silent(WSGIRequestHandler):
    def log(self, *_args: Any) -> None:
        pass


class Door:
    """An application on a loopback port of its own; ``faults[path]`` stands before it.

    A fault is "before" (503, the application never hears of it), "after" (its answer is lost) or a
    function that is called first and may give one of these, or the answer.
    """

    def __init__(self, host: str) -> None:
        self.app: Any = None
        self.faults: dict[str, str | Callable[[], str | Response | None]] = {}
        self.hits: Counter[str] = Counter()
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Silent)
        self.port = self._server.server_port
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.hits[path] += 1
        # this server's input does not end where the body does, as that of granian and gunicorn does
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self.faults.get(path)
        if callable(fault):
            fault = fault()
        if isinstance(fault, Response):
            return fault(environ, start_response)
        if fault == "before":
            return Response(status=503)(environ, start_response)
        if fault == "after":
            Response.from_app(self.app, environ)
            return Response(status=502)(environ, start_response)
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Market:
    """Issuer at ``localhost``, shop and API at ``127.0.0.1``, as the demo has them."""

    directory: Path
    receipt_base: str = ""
    # settings of the payments API other than the demo's
    api: dict[str, Any] = field(default_factory=dict)
    issuer: Door = field(default_factory=lambda: Door("localhost"))
    site: Door = field(default_factory=lambda: Door("127.0.0.1"))

    def open(self, template: Path) -> Market:
        """Everything serves."""
        path, self.database = self.directory / "demo.json", self.directory / "payments.db"
        shutil.copyfile(template, self.directory / "authserver.db")
        url = f"sqlite:///{self.directory / 'authserver.db'}"
        self.issuer.app = create_issuer(make_settings(self.directory, url, issuer=self.issuer.url))
        self.services = services_of(self.issuer.app)
        self.demo = demo.seed(self.services, path, self.site.port).content
        give_apps(self.services)
        environ = {"PAYMENTS_DEMO": str(path), "SHOP_RECEIPT_BASE": self.receipt_base}
        self.shop_settings = ShopSettings.from_environ(environ)
        assert self.shop_settings is not None
        self.shop = merchant.create_shop(self.shop_settings)
        self.served = self.site.app = site.join(
            self.shop, payments_api.create_app(replace(Settings.from_demo(path, self.database), **self.api))
        )
        return self

    def close(self) -> None:
        self.site.close()
        self.issuer.close()
        self.services.database.engine.dispose()

    def password(self, username: str) -> str:
        return next(str(user["password"]) for user in self.demo["users"] if user["username"] == username)

    def code(self, username: str) -> str:
        """A code of the person's authenticator app that was not used yet."""
        user = self.services.users.find(username)
        assert user is not None
        return fresh_code(self.services, user.user_id)

    def payments(self) -> list[dict[str, Any]]:
        """What the payments API has made."""
        return _rows(self.database, "SELECT * FROM payment")

    def order(self) -> dict[str, Any]:
        """The shop's only order."""
        orders = _rows(self.directory / "orders.db", "SELECT * FROM shop_order")
        assert len(orders) == 1
        return orders[0]

    def change_orders(self, sql: str) -> None:
        connection = sqlite3.connect(self.directory / "orders.db")
        connection.execute(f"UPDATE shop_order SET {sql}")
        connection.commit()
        connection.close()

    def end_approval(self) -> None:
        """The token that the shop holds for its only order counts no more (RFC 7009)."""
        shop = (self.shop_settings.client_id, self.shop_settings.client_secret)
        form = {"token": self.order()["token"]}
        httpx.post(f"{self.issuer.url}/revoke", data=form, auth=shop).raise_for_status()


@dataclass
class Buyer:
    """A person at a browser: cookies are kept, forms are filled in as they were given."""

    market: Market
    username: str = "alice"
    shop: str = ""
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def __post_init__(self) -> None:
        self.shop = self.shop or self.market.site.url

    def get(self, url: str) -> httpx.Response:
        """The page at ``url``, after all redirects."""
        return self.follow(self.client.get(urljoin(self.shop, url)))

    def follow(self, response: httpx.Response) -> httpx.Response:
        while response.status_code == 303:
            response = self.client.get(urljoin(str(response.url), response.headers["Location"]))
        return response

    def submit(self, page: httpx.Response, action: str, **values: str) -> httpx.Response:
        """The answer to the form of ``page`` for ``action``, before any redirect."""
        return self.client.post(
            urljoin(str(page.url), action), data=hidden_fields(page.text, action) | values
        )

    def checkout(self) -> httpx.Response:
        """The bank's page that asks to approve the payment of the basket."""
        return self.at_bank(self.submit(self.get("/"), "/shop/checkout"))

    def at_bank(self, sent: httpx.Response) -> httpx.Response:
        """The bank's page that asks to approve, after a login if there has to be one."""
        page = self.follow(sent)
        if heading(page) == "Sign in":
            login = {"username": self.username, "password": self.market.password(self.username)}
            page = self.follow(self.submit(page, "/login", **login))
        assert heading(page) == "Approve this payment?", page.text
        return page

    def decide(self, asked: httpx.Response, decision: str = "approve", account: int = 0) -> str:
        """The bank's answer on its way to the shop: the callback's address, not opened yet."""
        accounts = re.findall(r'name="account" value="([^"]+)"', asked.text)
        given = {"account": accounts[account], "code": self.market.code(self.username)}
        answer = self.submit(asked, "/consent", decision=decision, **given)
        assert answer.status_code == 303
        location = answer.headers["Location"]
        assert location.startswith(f"{self.shop}{CALLBACK}?"), location
        return str(location)

    def close(self) -> None:
        self.client.close()


def heading(page: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text, re.S)
    assert found, f"{page.status_code} {page.url}: {page.text[:300]}"
    return found[1].strip()


def words(page: httpx.Response) -> str:
    """The text of a page as a person reads it."""
    text = re.sub(r"<[^>]+>", " ", page.text[page.text.index("<main") :])
    return " ".join(text.replace("&nbsp;", " ").split())


def _rows(path: Path, sql: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()
