"""What a client may ask for, read strictly: no floats, no unknown members, no wrong IBAN."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from authserver.resource_server.strict_json import read_object

_DIGITS = {"EUR": 2, "GBP": 2, "USD": 2, "CHF": 2, "SEK": 2, "JPY": 0}
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,2}))?")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_LONGEST_NAME = 70


class InvalidBody(Exception):
    """The body is refused; the text names the member and is the same for every caller."""


@dataclass(frozen=True)
class Money:
    """An amount in the currency's smallest unit: 12.34 EUR are 1234."""

    minor: int
    currency: str

    def as_json(self) -> dict[str, str]:
        """Return `{"amount": "12.34", "currency": "EUR"}`."""
        digits = _DIGITS[self.currency]
        whole, part = divmod(self.minor, 10**digits)
        return {"amount": f"{whole}.{part:0{digits}}" if digits else str(whole), "currency": self.currency}


@dataclass(frozen=True)
class Payment:
    """A payment order."""

    creditor_name: str
    iban: str
    money: Money

    def as_json(self) -> dict[str, Any]:
        """Return the members as a client sends them."""
        return {
            "creditorName": self.creditor_name,
            "creditorAccount": {"iban": self.iban},
            "instructedAmount": self.money.as_json(),
        }


@dataclass(frozen=True)
class Refund:
    """Money to go back, for one payment."""

    payment_id: str
    money: Money


def read_payment(raw: bytes) -> Payment:
    """Return the order in a JSON body; InvalidBody otherwise."""
    body = _members(_object(raw), "creditorName", "creditorAccount", "instructedAmount")
    account = _members(body["creditorAccount"], "iban")
    return Payment(_name(body["creditorName"]), _iban(account["iban"]), _money(body["instructedAmount"]))


def read_refund(raw: bytes, payment_id: str) -> Refund:
    """Return the refund in a JSON body; InvalidBody otherwise."""
    return Refund(payment_id, _money(_members(_object(raw), "instructedAmount")["instructedAmount"]))


def is_open_to(payment: Payment, details: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a token with these authorization details may make `payment` (RFC 9396 §9).

    A person who approved payments approved these alone; a token without such details is bound by its
    scope only.
    """
    approved = [detail for detail in details if detail["type"] == "payment_initiation"]
    return not approved or any(_approves(detail, payment) for detail in approved)


def _approves(detail: Mapping[str, Any], payment: Payment) -> bool:
    members = {name: detail.get(name) for name in payment.as_json()}
    try:
        return read_payment(json.dumps(members).encode()) == payment
    except InvalidBody:
        return False


def fingerprint(order: Payment | Refund) -> str:
    """Return a text that two orders share exactly if they mean the same."""
    return repr((type(order).__name__, sorted(asdict(order).items())))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return read_object(raw)
    except ValueError:
        raise InvalidBody("the body is not one JSON object") from None


def _members(value: object, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise InvalidBody(f"exactly these members are expected: {', '.join(names)}")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.strip()) <= _LONGEST_NAME:
        raise InvalidBody("creditorName is 1 to 70 printable characters")
    return value.strip()


def _iban(value: object) -> str:
    if not isinstance(value, str) or _IBAN.fullmatch(value) is None or not _checks(value):
        raise InvalidBody("iban is not an IBAN in electronic form with right check digits")
    return value


def _checks(iban: str) -> bool:
    # ISO 13616: country and check digits go to the end, letters count from 10, the rest is 1 modulo 97.
    digits = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    return int(digits) % 97 == 1 and 2 <= int(iban[2:4]) <= 98


def _money(value: object) -> Money:
    members = _members(value, "amount", "currency")
    amount, currency = members["amount"], members["currency"]
    if not isinstance(currency, str) or currency not in _DIGITS:
        raise InvalidBody(f"currency is one of {', '.join(_DIGITS)}")
    found = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    digits = _DIGITS[currency]
    if found is None or len(found[2] or "") > digits:
        raise InvalidBody('amount is a text such as "12.34", with the decimals of its currency')
    minor = int(found[1]) * 10**digits + int((found[2] or "").ljust(digits, "0") or 0)
    if minor == 0:
        raise InvalidBody("amount is more than nothing")
    return Money(minor, currency)
