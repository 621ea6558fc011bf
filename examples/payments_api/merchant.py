"""A shop that is paid through the authorization code flow, in one file that reads from top to bottom.

    GET  /                          the basket, and the button to pay
    POST /shop/checkout             an order, and off to the bank
    GET  /shop/callback             back from the bank: code → token → payment
    GET  /shop/orders/<id>          what became of the order: its receipt, or what to do next
    POST /shop/orders/<id>/pay      try again
    POST /shop/orders/<id>/check    ask again what became of a payment

A buyer reloads, goes back, clicks twice, opens a second tab; the shop crashes, the bank is silent. What
keeps that to one payment: one attempt at a time has an order (orders.py), the API makes one payment for
an Idempotency-Key, which is the order's id, and it takes an approval once.
"""

import logging
import re
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, url_for

from . import shop_pages
from .issuer_client import IssuerClient, Refused, Unreachable
from .orders import Attempt, Order, Orders
from .payments_client import KeyTaken, PaymentRefused, PaymentsClient, StepUp, TokenRefused, Unknown
from .settings import ShopSettings
from .shop_pages import Notice, browser

NAME = "Corner Shop"
IBAN = "DE89370400440532013000"
ITEMS = (("Coffee beans, 500 g", "9.80"), ("Stoneware mug", "14.50"))
TOTAL = {"amount": "24.30", "currency": "EUR"}

log = logging.getLogger(__name__)


def create_shop(settings: ShopSettings) -> Flask:
    """Return the shop."""
    app = Flask(__name__, static_url_path="/shop/static")
    shop = Shop(settings, Orders(settings.database), IssuerClient(settings), PaymentsClient(settings))
    serve_basket(app, shop)
    serve_callback(app, shop)
    serve_orders(app, shop)
    shop_pages.install(app, settings)
    return app


# 1. What is sold, and the payment that is asked for: the same members at the bank and at the API.


def payment_for(order_id: str) -> dict[str, Any]:
    """Return the payment of an order as the API's body; the order's id tells the payer what it is for."""
    return {
        "instructedAmount": TOTAL,
        "creditorName": NAME,
        "creditorAccount": {"iban": IBAN},
        "remittanceInformationUnstructured": f"Order {order_id}",
    }


def details_for(order_id: str) -> dict[str, Any]:
    """Return the same payment as authorization details (RFC 9396 §2)."""
    return {"type": "payment_initiation", "actions": ["initiate"], **payment_for(order_id)}


# 2. From an order to a payment.


@dataclass(frozen=True)
class Shop:
    """The shop's order book, and itself as a client of the issuer and of the payments API."""

    settings: ShopSettings
    orders: Orders
    issuer: IssuerClient
    payments: PaymentsClient

    def send(self, order: Order, step_up: dict[str, str] | None = None) -> Response:
        """Send the browser to the bank with a new attempt, or to the order if it needs none.

        `step_up` is what the payments API demands of the payer's login (RFC 9470).
        """
        attempt = self.orders.send(order, step_up)
        if attempt is None:
            return to_order(order.id)
        try:
            url = self.issuer.authorization_url(attempt, details_for(order.id))
        except Unreachable:
            log.warning("order %s: the issuer does not answer", order.id)
            self.orders.refused(attempt, "unreachable")
            return to_order(order.id)
        return see_other(url)

    def redeem(self, attempt: Attempt, code: str) -> None:
        """Turn the code into a token and that into a payment; whatever happens, the order tells it.

        StepUp if the API wants the payer to sign in anew first: nothing was paid then.
        """
        order_id = attempt.order_id
        if not self.orders.take(attempt):
            return
        try:
            access_token = self.issuer.redeem(code, attempt, details_for(order_id))
        except Unreachable:
            log.warning("order %s: the token endpoint does not answer", order_id)
            self.orders.failed(order_id, attempt.id, "unreachable")
            return
        except Refused as refusal:
            log.warning("order %s: %s", order_id, refusal)
            self.orders.failed(order_id, attempt.id, "not_approved")
            return
        # From here on the payment may be made: first the token rests, then it is used.
        if self.orders.hold(attempt, access_token):
            self.pay(attempt, access_token)

    def pay(self, attempt: Attempt, access_token: str) -> None:
        """Ask for the payment for the first time."""
        order_id = attempt.order_id
        try:
            self.orders.paid(order_id, self.payments.pay(order_id, payment_for(order_id), access_token))
        except StepUp:
            self.orders.failed(order_id, attempt.id, "step_up")
            # once: an issuer that does not give what the API wants would send the payer in a circle
            if not attempt.step_up:
                raise
        except (TokenRefused, PaymentRefused):
            log.warning("order %s: the payment was refused", order_id)
            self.orders.failed(order_id, attempt.id, "refused")
        except KeyTaken:
            self.orders.doubted(order_id, attempt.id)
        except Unknown:
            log.warning("order %s: the payments API gave no answer", order_id)

    def ask_again(self, order: Order) -> None:
        """Find out what became of a payment, by asking for the same one with the same key."""
        if order.abandoned:
            self.orders.failed(order.id, order.attempt, "interrupted")
        if order.token is None:
            return
        try:
            self.orders.paid(order.id, self.payments.pay(order.id, payment_for(order.id), order.token))
        except PaymentRefused:
            self.orders.failed(order.id, order.attempt, "refused")
        except (TokenRefused, KeyTaken, StepUp):
            # Nothing is left to ask with. A new approval is safe: this order's key stays the same.
            self.orders.doubted(order.id, order.attempt)
        except Unknown:
            log.warning("order %s: still unknown", order.id)


# 3. The basket, and off to the bank.


def serve_basket(app: Flask, shop: Shop) -> None:
    """Add the shop's front page and its button."""

    @app.get("/")
    def basket() -> str:
        number = shop.orders.basket_of(browser())
        return render_template("basket.html", items=ITEMS, total=TOTAL, basket=number)

    @app.get("/shop")
    def front() -> Response:
        return see_other(url_for("basket"))

    @app.post("/shop/checkout")
    def checkout() -> Response:
        # A basket has a number and becomes one order, however often its button is pressed.
        number = request.form.get("basket", "")
        order = shop.orders.order(browser(), int(number)) if re.fullmatch("[0-9]{1,9}", number) else None
        return see_other(url_for("basket")) if order is None else shop.send(order)


# 4. Back from the bank. Nothing is believed before it is known whose answer it is.


def serve_callback(app: Flask, shop: Shop) -> None:
    """Add the redirect URI (RFC 6749 §4.1.2)."""

    @app.get("/shop/callback")
    def callback() -> Response:
        answer = {name: values[0] for name, values in request.args.lists() if len(values) == 1}
        attempt = shop.orders.attempt(browser(), answer.get("state", ""))
        if attempt is None:
            raise Notice(400, "unknown_answer")
        # RFC 9207 §2.4: an answer of another issuer is not looked at any further
        if answer.get("iss") != shop.settings.issuer:
            raise Notice(400, "foreign_answer")
        if "error" in answer:
            shop.orders.refused(attempt, reason_of(answer["error"]))
        elif "code" in answer:
            try:
                shop.redeem(attempt, answer["code"])
            except StepUp as demanded:
                order = shop.orders.find(browser(), attempt.order_id)
                return to_order(attempt.order_id) if order is None else shop.send(order, demanded.parameters)
        else:
            raise Notice(400, "unknown_answer")
        return after_payment(shop, attempt.order_id)


def reason_of(error: str) -> str:
    """Return the shop's own word for an error of the issuer; what the issuer wrote is shown to nobody."""
    return {
        "access_denied": "cancelled",
        "temporarily_unavailable": "busy",
        "server_error": "busy",
    }.get(error, "bank_error")


def after_payment(shop: Shop, order_id: str) -> Response:
    """Send the browser on, so that reload and back button find a page and not the callback."""
    order = shop.orders.find(browser(), order_id)
    if shop.settings.receipt_base and order is not None and order.state == "paid":
        return see_other(f"{shop.settings.receipt_base}/{order_id}")
    return to_order(order_id)


# 5. What became of an order: every state has a page that says what happened and what to do.


def serve_orders(app: Flask, shop: Shop) -> None:
    """Add the page of an order, for the browser that made it, and its two buttons."""

    def mine(order_id: str) -> Order:
        return shop.orders.find(browser(), order_id) or abort(404)

    @app.get("/shop/orders/<order_id>")
    def order_page(order_id: str) -> str:
        return render_template("order.html", order=mine(order_id), items=ITEMS, total=TOTAL)

    @app.post("/shop/orders/<order_id>/pay")
    def pay_again(order_id: str) -> Response:
        return shop.send(mine(order_id))

    @app.post("/shop/orders/<order_id>/check")
    def check(order_id: str) -> Response:
        shop.ask_again(mine(order_id))
        return after_payment(shop, order_id)


def to_order(order_id: str) -> Response:
    """303 to the page of an order."""
    return see_other(url_for("order_page", order_id=order_id))


def see_other(url: str) -> Response:
    """303: the next request is a GET, and says nothing of this one."""
    response = redirect(url, 303)
    assert isinstance(response, Response)
    return response
