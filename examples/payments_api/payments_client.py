"""What a client does at the payments API: ask for one payment, once, and understand every answer."""

import re
import weakref
from threading import BoundedSemaphore
from typing import Any

import httpx

from .settings import ShopSettings

TIMEOUT_SECONDS = 10.0
# In the demo the API is served by the same threads (__main__.py): most must be left to answer.
AT_A_TIME = 16
PLACE_SECONDS = 5.0


_PARAMETER = re.compile(r'(\w+)="([^"\\]*)"')


class TokenRefused(Exception):
    """The access token does not hold (401): expired, revoked, or never good."""


class StepUp(Exception):
    """The payer must sign in anew, or better (RFC 9470): with these parameters of a new request."""

    def __init__(self, parameters: dict[str, str]) -> None:
        super().__init__("step-up")
        self.parameters = parameters


class PaymentRefused(Exception):
    """The API will not make this payment, now or later."""


class Unknown(Exception):
    """Nobody knows whether the payment was made: ask again, with the same key."""


class KeyTaken(Exception):
    """Another payment stands under this key: somebody else's approval of the same order made it."""


class PaymentsClient:
    """This shop as a client of the payments API; safe to share between threads."""

    def __init__(self, settings: ShopSettings) -> None:
        self._url = settings.payments_url
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        weakref.finalize(self, self._http.close)
        self._places = BoundedSemaphore(AT_A_TIME)

    def pay(self, order_id: str, payment: dict[str, Any], access_token: str) -> dict[str, Any]:
        """Return the payment as the API made it, now or at an earlier try with the same order."""
        if not self._places.acquire(timeout=PLACE_SECONDS):
            raise Unknown
        try:
            return self._pay(order_id, payment, access_token)
        finally:
            self._places.release()

    def _pay(self, order_id: str, payment: dict[str, Any], access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Idempotency-Key": order_id}
        try:
            answer = self._http.post(self._url, json=payment, headers=headers)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unknown from error
        match answer.status_code:
            case 201 if _is_made(body, payment):
                return dict(body)
            case 401:
                if parameters := step_up_of(answer.headers.get("WWW-Authenticate", "")):
                    raise StepUp(parameters)
                raise TokenRefused
            case 422:
                raise KeyTaken
            case 400 | 403:
                raise PaymentRefused
            case _:
                # in progress, too many requests, out of order: the same question again will tell
                raise Unknown


def step_up_of(challenge: str) -> dict[str, str]:
    """Return `acr_values` and `max_age` of a challenge to step up (RFC 9470 §3); of others nothing."""
    told = dict(_PARAMETER.findall(challenge))
    if told.get("error") != "insufficient_user_authentication":
        return {}
    wanted = {name: told[name] for name in ("acr_values", "max_age") if name in told}
    fine = re.fullmatch("[0-9]{1,9}", wanted.get("max_age", "0")) and len(wanted.get("acr_values", "")) < 300
    return wanted if fine else {}


def _is_made(body: Any, payment: dict[str, Any]) -> bool:
    # a receipt shows what was paid, so the answer must say just that
    return isinstance(body, dict) and isinstance(body.get("id"), str) and body.items() >= payment.items()
