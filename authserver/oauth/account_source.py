"""The accounts of people as a bank tells them over HTTP: the driver of the port ``payment.Accounts``.

    POST <accounts_url>   Authorization: Bearer <accounts_token>   {"user_id": "…", "username": "…"}
    200                   {"accounts": [{"iban": "…", "name": "…", "currency": "EUR"}, …]}

Whatever else is answered, or nothing in three seconds, gives no account at all: nobody pays from a guess.
"""

from __future__ import annotations

import logging
from typing import Any

from .. import compact_json
from ..config import Settings
from ..errors import Unavailable
from ..outgoing import AT_ONCE, Failed, Outgoing, Refused
from ..strict_json import read
from ..users import Users
from ..visible_text import shows
from .iso4217 import DECIMALS
from .payment import MAX_NAME, Account, Accounts, DemoAccounts, NoAccounts, valid_iban

OK = 200
MOST = 50
MAX_DEPTH = 4
# the operator names the address, not a client: it may be an inner one
EVERYWHERE = ("0.0.0.0/0", "::/0")
AT_A_TIME = 4 * AT_ONCE
log = logging.getLogger(__name__)


def of(settings: Settings, users: Users) -> Accounts:
    """Where people have their accounts: at the bank of the setting; in the dev profile, made up."""
    if settings.accounts_url:
        return HttpAccounts(settings, users)
    return DemoAccounts() if settings.profile == "dev" else NoAccounts()


class HttpAccounts:
    """Asks the bank each time: what it says may change between two pages."""

    def __init__(self, settings: Settings, users: Users) -> None:
        self._url = settings.accounts_url
        self._token = settings.accounts_token.get_secret_value()
        self._users = users
        self._outgoing = Outgoing(settings.model_copy(update={"outgoing_allow": EVERYWHERE}), AT_A_TIME)

    def of(self, user_id: str) -> tuple[Account, ...]:
        """The accounts of the person in the bank's order; Unavailable when it does not tell them."""
        user = self._users.must(user_id)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = compact_json.encode({"user_id": user.user_id, "username": user.username})
        try:
            answer = self._outgoing.post(self._url, headers, body)
            if answer.status != OK or answer.media_type != "application/json":
                raise Failed(f"status {answer.status}")
            return _accounts(answer.body)
        except (Failed, Refused, Unavailable, ValueError) as error:
            log.warning("the accounts of people are not told: %s", error)
            raise Unavailable("accounts", retry_after=10) from error


def _accounts(body: bytes) -> tuple[Account, ...]:
    """The accounts in an answer; ValueError for whatever is not one of them."""
    document = read(body.decode("utf-8"), MAX_DEPTH)
    found = document.get("accounts") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) > MOST:
        raise ValueError("no list of accounts")
    accounts = tuple(_account(one) for one in found)
    if len({account.iban for account in accounts}) != len(accounts):
        raise ValueError("an account is told twice")
    return accounts


def _account(value: Any) -> Account:
    if not isinstance(value, dict):
        raise ValueError("an account is an object")
    iban, name, currency = (value.get(member) for member in ("iban", "name", "currency"))
    if not isinstance(iban, str) or not valid_iban(iban):
        raise ValueError("an account has an IBAN")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not shows(name):
        raise ValueError("an account has a name that can be seen")
    if not isinstance(currency, str) or currency not in DECIMALS:
        raise ValueError("an account has a currency")
    return Account(iban, name, currency)
