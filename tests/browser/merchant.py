"""A shop whose callback sends the browser on to a third origin, as shops with a separate checkout do."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
from flask import Flask, Response, redirect, request
from markupsafe import escape
from services import free_port
from werkzeug.serving import WSGIRequestHandler, make_server

from authserver import crypto
from authserver.oauth import pkce

NAME = "Hafen & Söhne"
PAYMENT: dict[str, Any] = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "1234.50", "currency": "EUR"},
    "creditorName": "Hafen & Söhne GmbH",
    "creditorAccount": {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
    "remittanceInformationUnstructured": "Order 4711, two garden chairs",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="/none" type="image/svg+xml"><meta name="viewport" content="width=device-width"></head>
<body><main><h1>{title}</h1>{body}</main></body></html>"""


@dataclass
class Order:
    """What the shop remembers of a browser that it sent to its bank."""

    verifier: str
    tokens: dict[str, Any] | None = None
    error: str = ""


class Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_request(self, *_: object) -> None:
        return


class Merchant:
    """The shop on one origin, its receipts on another; ``orders`` by ``state``."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.client_id, self.secret = "hafen", ""
        self.orders: dict[str, Order] = {}
        app = self._app()
        self._servers = [
            make_server("127.0.0.1", free_port(), app, threaded=True, request_handler=Quiet) for _ in range(2)
        ]
        self.shop, self.receipts = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        self._threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in self._servers]

    @property
    def callback(self) -> str:
        return f"{self.shop}/callback"

    def ask(self, **changes: str) -> str:
        """The address at the issuer of a new request: a payment unless ``changes`` say otherwise."""
        state = crypto.random_token(128)
        self.orders[state] = Order(crypto.random_token())
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.callback,
            "scope": "openid",
            "state": state,
            "nonce": state,
            "code_challenge": pkce.s256(self.orders[state].verifier),
            "code_challenge_method": "S256",
            "authorization_details": json.dumps([PAYMENT]),
        } | changes
        return f"{self.issuer}/authorize?" + urlencode({k: v for k, v in parameters.items() if v})

    def _app(self) -> Flask:
        app = Flask(__name__)

        @app.get("/")
        def basket() -> str:
            form = '<form method="post" action="/checkout{}"><button>{}</button></form>'
            query = request.query_string.decode()
            return _page("Basket", form.format(f"?{escape(query)}" if query else "", "Pay with your bank"))

        @app.post("/checkout")
        def checkout() -> Any:
            return redirect(self.ask(**request.args.to_dict()), 303)

        @app.route("/callback", methods=["GET", "POST"])
        def callback() -> Any:
            return redirect(f"{self.receipts}{self._answered(request.values)}", 303)

        @app.get("/orders/<state>")
        def receipt(state: str) -> str:
            tokens = self.orders[state].tokens
            assert tokens is not None
            details = tokens.get("authorization_details") or [PAYMENT]
            return _page("Receipt", f"<p>{details[0]['instructedAmount']['amount']} EUR</p>")

        @app.get("/declined/<state>")
        def declined(state: str) -> str:
            return _page("Payment not made", f"<p>{escape(self.orders[state].error)}</p>")

        @app.get("/none")
        def icon() -> Response:
            return Response('<svg xmlns="http://www.w3.org/2000/svg"/>', mimetype="image/svg+xml")

        return app

    def _answered(self, values: Any) -> str:
        """Where the browser goes on: the receipt once the code is redeemed, else the page that says why."""
        assert values["iss"] == self.issuer
        order = self.orders[values["state"]]
        if "error" in values:
            order.error = values["error"]
            return f"/declined/{values['state']}"
        answer = httpx.post(
            f"{self.issuer}/token",
            auth=(self.client_id, self.secret),
            data={
                "grant_type": "authorization_code",
                "code": values["code"],
                "redirect_uri": self.callback,
                "code_verifier": order.verifier,
            },
        )
        assert answer.status_code == 200, answer.text
        order.tokens = answer.json()
        return f"/orders/{values['state']}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join(10)
            server.server_close()


def _page(title: str, body: str) -> str:
    return PAGE.format(title=title, body=body)
