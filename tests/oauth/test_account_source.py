"""Accounts as a bank tells them over real HTTP: all of them as they are, or none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from asking import IBAN, Asking, answer, decide, payment, start
from flask import Flask

from authserver.app import services_of
from authserver.errors import Unavailable

OTHER = "GB82WEST12345698765432"
ACCOUNTS = [
    {"iban": IBAN, "name": "Giro <b>", "currency": "EUR"},
    {"iban": OTHER, "name": "Savings", "currency": "GBP"},
]


@dataclass
class Bank:
    """Answers with ``body``; ``asked`` is what it was asked, with the Authorization header."""

    body: bytes = json.dumps({"accounts": ACCOUNTS}).encode()
    status: int = 200
    kind: str = "application/json"
    asked: list[tuple[str | None, Any]] = field(default_factory=list)
    hangs: threading.Event | None = None
    url: str = ""


@pytest.fixture
def bank() -> Iterator[Bank]:
    bank = Bank()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bank.asked.append((self.headers.get("Authorization"), body))
            if bank.hangs is not None:
                bank.hangs.wait(20)
                return
            self.send_response(bank.status)
            self.send_header("Content-Type", bank.kind)
            self.send_header("Content-Length", str(len(bank.body)))
            self.end_headers()
            self.wfile.write(bank.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bank.url = f"http://127.0.0.1:{server.server_port}/accounts"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield bank
    if bank.hangs is not None:
        bank.hangs.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def asking_bank(make_app: Callable[..., Flask], bank: Bank) -> Asking:
    return Asking(make_app(accounts_url=bank.url, accounts_token="a bearer token"))


def test_the_payer_chooses_among_what_the_bank_tells_and_pays_from_it(
    asking_bank: Asking, bank: Bank
) -> None:
    browser = asking_bank.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    assert "Giro &lt;b&gt;" in page.text
    assert "GB82 WEST 1234 5698 7654 32" in page.text
    assert bank.asked[-1] == ("Bearer a bearer token", {"user_id": asking_bank.alice, "username": "alice"})
    found = answer(decide(browser, page, account=OTHER))
    body = asking_bank.redeem(found["code"], "pay1").json
    assert body["authorization_details"][0]["debtorAccount"] == {"iban": OTHER}
    # what the bank no longer tells is nobody's to pay from
    page = start(browser, "pay1", authorization_details=payment())
    bank.body = json.dumps({"accounts": ACCOUNTS[:1]}).encode()
    assert decide(browser, page, account=OTHER).status_code == 400
    assert asking_bank.rows()["codes"] == 1


def test_while_the_bank_does_not_answer_a_page_says_so_and_going_back_works(
    asking_bank: Asking, bank: Bank
) -> None:
    browser = asking_bank.browser(logged_in=True)
    page = start(browser, "pay1", authorization_details=payment())
    bank.status = 503
    refused = decide(browser, page)
    assert refused.status_code == 503
    assert "Your accounts cannot be shown now" in refused.text
    assert "Nothing was paid" in refused.text
    assert asking_bank.rows()["codes"] == 0
    assert "accounts" in asking_bank.reasons("dependency.failed")
    assert answer(decide(browser, page, "deny"))["error"] == "access_denied"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"accounts":{}}',
        b'{"accounts":[1]}',
        b'{"accounts":[{}]}',
        b"\xff",
        json.dumps({"accounts": [ACCOUNTS[0] | {"iban": "DE00370400440532013000"}]}).encode(),
        json.dumps({"accounts": [ACCOUNTS[0] | {"name": "\u202e"}]}).encode(),
        json.dumps({"accounts": [ACCOUNTS[0] | {"currency": "XXX"}]}).encode(),
        json.dumps({"accounts": ACCOUNTS[:1] * 2}).encode(),
        json.dumps({"accounts": ACCOUNTS[:1] * 51}).encode(),
        b'{"accounts":[],"accounts":[]}',
        b'{"accounts":[' + b" " * 70_000 + b"]}",
    ],
)
def test_what_is_no_list_of_accounts_is_no_account(asking_bank: Asking, bank: Bank, body: bytes) -> None:
    bank.body = body
    with pytest.raises(Unavailable, match="accounts"):
        asking_bank.world.services.accounts.of(asking_bank.alice)


@pytest.mark.parametrize(
    ("status", "kind"), [(302, "application/json"), (500, "application/json"), (200, "text/html")]
)
def test_no_other_answer_counts(asking_bank: Asking, bank: Bank, status: int, kind: str) -> None:
    bank.status, bank.kind = status, kind
    with pytest.raises(Unavailable, match="accounts"):
        asking_bank.world.services.accounts.of(asking_bank.alice)


def test_a_bank_that_hangs_is_waited_for_in_bounds(asking_bank: Asking, bank: Bank) -> None:
    bank.hangs = threading.Event()
    with pytest.raises(Unavailable, match="accounts"):
        asking_bank.world.services.accounts.of(asking_bank.alice)
    assert len(bank.asked) == 1


def test_nobody_is_asked_over_plain_http_in_production(make_app: Callable[..., Flask], bank: Bank) -> None:
    services = services_of(make_app(accounts_url=bank.url))
    user_id = services.users.create("carol", None, "Carol").user_id
    production = services.settings.model_copy(update={"profile": "production"})
    with pytest.raises(Unavailable, match="accounts"):
        type(services.accounts)(production, services.users).of(user_id)  # type: ignore[call-arg]
    assert bank.asked == []
