"""What people do on the pages, by the words that they read there."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from .merchant import NAME
from .stage import Stage

# of the demo
SHOP = "Corner Shop"
BACK = f"Cancel and return to {NAME}"
# asks for no payment
TO_SEE_ACCOUNTS = "?authorization_details=&scope=openid+profile+email+accounts:read"
CODE = "Code from your authenticator app"
PAY = re.compile(r"^Pay [\d\s]+\.\d\d\sEUR$")


def heading(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", level=1, name=text, exact=True)


def button(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("button", name=text, exact=True)


def buy(page: Page, stage: Stage) -> None:
    """In the demo's shop: pay with the bank, which asks who is there."""
    page.goto(stage.shop)
    button(page, "Pay with your bank").click()
    expect(heading(page, "Sign in")).to_be_visible()


def check_out(page: Page, stage: Stage, query: str = "") -> None:
    """In the shop: pay with the bank, which asks who is there."""
    page.goto(f"{stage.merchant.shop}/{query}")
    button(page, "Pay with your bank").click()


def sign_in(page: Page, stage: Stage, username: str = "dora", password: str = "") -> None:
    page.get_by_label("User name or e-mail").fill(username)
    page.get_by_label("Password", exact=True).fill(password or stage.password(username))
    button(page, "Sign in").click()
    if username in stage.apps and not password:
        shown = page.get_by_role("heading", level=1)
        expect(shown).not_to_have_text("Sign in")
        # a payment asks for the code itself
        if shown.inner_text() == "Prove that it is you":
            page.get_by_label(CODE).fill(stage.code(username))
            button(page, "Go on").click()


def pay(page: Page, stage: Stage, username: str = "dora") -> None:
    """On the page that asks for the payment: the code of the person's authenticator app."""
    page.get_by_label(CODE).fill(stage.code(username))
    button(page, PAY).click()


def reach_approval(page: Page, stage: Stage, username: str = "dora", query: str = "") -> None:
    """From the shop to the page that asks for the payment."""
    check_out(page, stage, query)
    expect(heading(page, "Sign in")).to_be_visible()
    sign_in(page, stage, username)
    expect(heading(page, "Approve this payment?")).to_be_visible()


def expect_receipt(page: Page, stage: Stage) -> None:
    """The receipt of the second merchant, on its third origin."""
    expect(heading(page, "Receipt")).to_be_visible()
    assert page.url.startswith(f"{stage.merchant.receipts}/orders/")


def expect_declined(page: Page, stage: Stage) -> None:
    expect(heading(page, "Payment not made")).to_be_visible()
    expect(page.get_by_text("access_denied")).to_be_visible()
    assert page.url.startswith(f"{stage.merchant.receipts}/declined/")


def arrive_on_a_new_device(page: Page, stage: Stage, username: str) -> None:
    """Somebody who has the password right, where a code must show that the device is theirs."""
    page.context.add_cookies([{"name": "sid", "value": stage.new_device(username), "url": stage.issuer}])
    page.goto(f"{stage.issuer}/confirm-device")
