"""A payment is approved by a passkey in Chromium, and its signature is worth nothing for another amount."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import BrowserContext, Page, Route, expect
from plugins.passkeys import give_passkey
from plugins.people import hidden_fields

from authserver.crypto import b64u

from .acts import check_out, expect_receipt, heading, sign_in
from .chromium import add_authenticator
from .merchant import PAYMENT
from .stage import Stage

BUTTON = '[data-webauthn="payment"]'
NOT_THIS = "That did not work, and nothing was paid."


class Payer:
    """Somebody new with a passkey, and the devices that have it: Chromium gives each tab its own."""

    def __init__(self, stage: Stage) -> None:
        self.name = stage.newcomer()
        user = stage.services.users.find(self.name)
        assert user is not None
        (credential,) = give_passkey(stage.app, user.user_id).credentials
        key = credential.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._held = {
            "credentialId": standard(credential.id),
            "isResidentCredential": True,
            "rpId": "localhost",
            "privateKey": standard(key),
            "userHandle": standard(user.user_id.encode()),
        }

    def take(self, page: Page, count: int = 1, **options: Any) -> None:
        """The passkey is at hand on ``page``, having signed ``count`` times.

        On a page to sign in it would do so by itself: nobody has to touch it.
        """
        session, id_ = add_authenticator(page, **options)
        given = {"authenticatorId": id_, "credential": self._held | {"signCount": count}}
        session.send("WebAuthn.addCredential", given)


def standard(data: bytes) -> str:
    """``data`` in base64 as the protocol of developer tools has it."""
    text = b64u(data).replace("-", "+").replace("_", "/")
    return text + "=" * (-len(text) % 4)


def reach(page: Page, stage: Stage, name: str, **changes: Any) -> None:
    """From the shop to the page that asks for a payment with ``changes``."""
    details = json.dumps([PAYMENT | changes])
    check_out(page, stage, f"?{urlencode({'authorization_details': details})}")
    if page.get_by_role("heading", level=1).inner_text() == "Sign in":
        sign_in(page, stage, name)
    expect(heading(page, "Approve this payment?")).to_be_visible()


def paid(stage: Stage) -> int:
    return sum(order.tokens is not None for order in stage.merchant.orders.values())


@pytest.mark.spec("PSD2 RTS", "5(1)")
def test_a_passkey_pays_and_what_it_signed_is_proved_from_the_log_alone(page: Page, stage: Stage) -> None:
    payer = Payer(stage)
    reach(page, stage, payer.name)
    payer.take(page)
    # a password was enough to come here: what is missing is asked for once, and for this payment
    expect(page.get_by_label("Code from your authenticator app")).to_have_count(0)
    second = page.get_by_role("radio").nth(1)
    second.check()
    iban = second.get_attribute("value")
    page.locator(BUTTON).click()
    expect_receipt(page, stage)
    tokens = stage.merchant.orders[page.url.rpartition("/")[2]].tokens
    assert tokens is not None
    (approved,) = tokens["authorization_details"]
    assert approved["debtorAccount"] == {"iban": iban}
    command = [sys.executable, "-m", "authserver", "audit", "payment-evidence", approved["approval"]["id"]]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")}
    told = subprocess.run(
        command,
        cwd=stage.directory.parent,
        env=inherited | stage.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    for part in ("The evidence holds.", f"by {payer.name}", "Hafen & Söhne GmbH", "Signed by a passkey"):
        assert part in told.stdout, told.stdout


def test_a_signature_for_a_small_amount_approves_no_large_one(
    open_context: Callable[..., BrowserContext], stage: Stage
) -> None:
    page = open_context().new_page()
    payer = Payer(stage)
    reach(page, stage, payer.name, instructedAmount={"amount": "1.00", "currency": "EUR"})
    payer.take(page)
    before = paid(stage)
    large = page.context.new_page()
    reach(large, stage, payer.name, instructedAmount={"amount": "9000.00", "currency": "EUR"})
    payer.take(large, count=100)
    fields = hidden_fields(large.content(), "/consent")

    def swap(route: Route) -> None:
        """What malware in the browser would do: the signature goes to the payment in the other tab."""
        sent = dict(parse_qsl(route.request.post_data or "", keep_blank_values=True))
        assert sent["assertion"]
        swapped = sent | {name: fields[name] for name in ("txn", "shown", "csrf")}
        route.continue_(post_data=urlencode(swapped))

    page.route("**/consent", swap)
    page.locator(BUTTON).click()
    expect(page.get_by_role("alert").filter(has_text=NOT_THIS)).to_be_visible()
    expect(page.get_by_role("article")).to_contain_text("9 000.00 EUR")
    page.unroute("**/consent")
    # nor does one for the account that was chosen first pay from the other one
    accounts = [radio.get_attribute("value") for radio in large.get_by_role("radio").all()]

    def elsewhere(route: Route) -> None:
        sent = dict(parse_qsl(route.request.post_data or "", keep_blank_values=True))
        assert sent["account"] == accounts[0]
        route.continue_(post_data=urlencode(sent | {"account": accounts[1]}))

    large.route("**/consent", elsewhere)
    large.locator(BUTTON).click()
    expect(large.get_by_role("alert").filter(has_text=NOT_THIS)).to_be_visible()
    large.unroute("**/consent")
    assert paid(stage) == before
    large.locator(BUTTON).click()
    expect_receipt(large, stage)
    assert paid(stage) == before + 1


def test_a_device_that_does_not_know_its_person_pays_nothing(page: Page, stage: Stage) -> None:
    payer = Payer(stage)
    reach(page, stage, payer.name)
    payer.take(page, isUserVerified=False)
    before = paid(stage)
    page.locator(BUTTON).click()
    expect(page.get_by_text("The passkey did not answer, and nothing was paid. Try again.")).to_be_visible()
    assert paid(stage) == before
