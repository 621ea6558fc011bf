"""Payers with passkeys, whose devices sign whatever a test wants them to sign."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from asking import Asking, payment, start
from plugins.passkeys import give_passkey
from plugins.people import Browser, add_user, hidden_fields
from soft_authenticator import Authenticator
from werkzeug.test import TestResponse

from authserver.oauth.payment import DemoAccounts

PAYS = {"scope": "openid payments:initiate", "authorization_details": payment()}


@dataclass
class Payer:
    """Somebody with a passkey at their browser."""

    asking: Asking
    user_id: str
    browser: Browser
    device: Authenticator

    @property
    def accounts(self) -> list[str]:
        return [account.iban for account in DemoAccounts().of(self.user_id)]

    def receipt(self, **changes: Any) -> TestResponse:
        """The approval page of a payment."""
        page = start(self.browser, "pay1", **(PAYS | changes))
        assert page.request.path == "/consent", page.request.path
        return page

    def challenge(self, page: TestResponse, account: int = 0, **changes: str) -> Any:
        """What the page's script gets when the button is pressed."""
        fields = hidden_fields(page.text, "/consent") | {"account": self.accounts[account]} | changes
        return self.browser.post("/consent/payment-challenge", fields)

    def signed(self, page: TestResponse, account: int = 0, **changes: Any) -> dict[str, str]:
        """The fields that the script fills in."""
        asked = self.challenge(page, account).json
        signature = self.device.sign(asked["publicKey"], **changes)
        return {
            "nonce": asked["nonce"],
            "assertion": json.dumps(signature),
            "account": self.accounts[account],
        }

    def approve(self, page: TestResponse, fields: dict[str, str]) -> TestResponse:
        return self.browser.submit(page, "/consent", decision="approve", **fields)


def make_payer(asking: Asking, name: str = "alice") -> Payer:
    services = asking.world.services
    user_id = asking.alice if name == "alice" else add_user(services, name)
    browser = Browser(asking.app)
    assert browser.log_in(name).status_code == 303
    return Payer(asking, user_id, browser, give_passkey(asking.app, user_id))
