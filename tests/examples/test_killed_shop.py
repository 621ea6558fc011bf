"""The shop as a process of its own that is killed in the middle of a purchase, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from services import free_port
from shopping import CALLBACK, Buyer, Market, heading

ROOT = Path(__file__).parents[2]


class ShopProcess:
    """``python -m examples.payments_api`` on a port; its shop pays at the API of ``market``."""

    def __init__(self, market: Market) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        callback = f"{self.url}{CALLBACK}"
        content = json.loads((market.directory / "demo.json").read_text())
        for client in content["clients"]:
            if client["client_id"] == "demo-shop":
                client["redirect_uris"] = [callback]
        self.demo = market.directory / "shop.json"
        self.demo.write_text(json.dumps(content))
        market.services.clients.set_redirect_uris("demo-shop", [callback])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "examples.payments_api", "--demo", str(self.demo)]
        own = {"PAYMENTS_DATABASE": str(self.demo.with_name("unused.db"))}
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)], cwd=ROOT, env=os.environ | own, start_new_session=True
        )
        ends_at = time.monotonic() + 30
        while time.monotonic() < ends_at and self.process.poll() is None:
            try:
                httpx.get(self.url)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the shop did not start")

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def market(tmp_path: Path, sqlite_template: Path) -> Iterator[Market]:
    market = Market(tmp_path).open(sqlite_template)
    yield market
    market.close()


@pytest.fixture
def shop(market: Market) -> Iterator[ShopProcess]:
    shop = ShopProcess(market)
    shop.start()
    yield shop
    shop.kill()


@pytest.fixture
def alice(market: Market, shop: ShopProcess) -> Iterator[Buyer]:
    buyer = Buyer(market, shop=shop.url)
    yield buyer
    buyer.close()


def die_at(door: str, path: str, market: Market, shop: ShopProcess, alice: Buyer) -> httpx.Response:
    """The page of alice's order after the shop died while it waited for an answer, and came back."""
    callback = alice.decide(alice.checkout())
    doors = {"issuer": market.issuer, "api": market.site}
    doors[door].faults[path] = shop.kill
    with pytest.raises(httpx.TransportError):
        alice.get(callback)
    doors[door].faults.clear()
    shop.start()
    return alice.get(callback)


def test_an_order_whose_payment_was_asked_for_is_paid_once(
    market: Market, shop: ShopProcess, alice: Buyer
) -> None:
    page = die_at("api", "/payments", market, shop, alice)
    assert heading(page) == "Your payment is being made"
    ends_at = time.monotonic() + 10
    while not market.payments() and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert len(market.payments()) == 1
    check = f"/shop/orders/{market.order()['id']}/check"
    assert heading(alice.follow(alice.submit(page, check))) == "Receipt"
    assert len(market.payments()) == 1


def test_an_order_whose_code_was_being_redeemed_is_not_paid_and_can_be(
    market: Market, shop: ShopProcess, alice: Buyer
) -> None:
    page = die_at("issuer", "/token", market, shop, alice)
    assert heading(page) == "Your payment is being made"
    market.change_orders("since = since - 61")
    path = f"/shop/orders/{market.order()['id']}"
    page = alice.get(path)
    assert heading(page) == "Payment not made"
    asked = alice.at_bank(alice.submit(page, f"{path}/pay"))
    assert heading(alice.get(alice.decide(asked))) == "Receipt"
    assert len(market.payments()) == 1
