"""What a client may ask for, read strictly: no floats, no unknown members, no wrong IBAN."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from authserver.resource_server.strict_json import read_object

_DIGITS = {"EUR": 2, "GBP": 2, "USD": 2, "CHF": 2, "SEK": 2, "JPY": 0}
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,2}))?")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_LONGEST_NAME = 70
_LONGEST_REMITTANCE = 140
# letters and a symbol that show nothing: Hangul fillers, a Braille cell without dots
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")
REMITTANCE = "remittanceInformationUnstructured"
DEBTOR = "debtorAccount"
_ABOUT_APPROVAL = frozenset({"type", "actions", "locations", "approval", DEBTOR})


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
    bic: str | None = None
    remittance: str | None = None
    # the payer's account, which the payer alone chooses
    debtor_iban: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the members as a client sends them."""
        account = {"iban": self.iban} if self.bic is None else {"iban": self.iban, "bic": self.bic}
        return {
            "creditorName": self.creditor_name,
            "creditorAccount": account,
            "instructedAmount": self.money.as_json(),
            **({} if self.remittance is None else {REMITTANCE: self.remittance}),
            **({} if self.debtor_iban is None else {DEBTOR: {"iban": self.debtor_iban}}),
        }

    def as_ordered(self) -> "Payment":
        """Return the payment as a client may order it: without the payer's account."""
        return replace(self, debtor_iban=None)


@dataclass(frozen=True)
class Refund:
    """Money to go back, for one payment."""

    payment_id: str
    money: Money


def read_payment(raw: bytes) -> Payment:
    """Return the order in a JSON body; InvalidBody otherwise."""
    return _payment(_object(raw))


def read_refund(raw: bytes, payment_id: str) -> Refund:
    """Return the refund in a JSON body; InvalidBody otherwise."""
    return Refund(payment_id, _money(_members(_object(raw), "instructedAmount")["instructedAmount"]))


def as_approved(payment: Payment, details: Iterable[Mapping[str, Any]], audience: str) -> Payment | None:
    """Return `payment` with the account that its payer chose, if one of these details approves exactly it.

    None otherwise: of RFC 9396 details that cannot be read, or are for another place, nothing is allowed.
    """
    approved = (_approved(detail, audience) for detail in details if detail["type"] == "payment_initiation")
    return next((found for found in approved if found and found.as_ordered() == payment), None)


def _approved(detail: Mapping[str, Any], audience: str) -> Payment | None:
    members = {name: value for name, value in detail.items() if name not in _ABOUT_APPROVAL}
    places, actions = detail.get("locations", [audience]), detail.get("actions", ["initiate"])
    try:
        if not _lists(places, audience) or not _lists(actions, "initiate"):
            return None
        debtor = _iban(_members(detail[DEBTOR], "iban")["iban"]) if DEBTOR in detail else None
        return replace(_payment(members), debtor_iban=debtor)
    except InvalidBody:
        return None


def _lists(value: object, name: str) -> bool:
    return isinstance(value, list) and name in value


def fingerprint(order: Payment | Refund, subject: str) -> str:
    """Return a text that two orders share exactly if they mean the same, and one person or client asks."""
    meant = order.as_ordered() if isinstance(order, Payment) else order
    return repr((type(order).__name__, subject, sorted(asdict(meant).items())))


def _payment(value: object) -> Payment:
    required = ("creditorName", "creditorAccount", "instructedAmount")
    body = _members(value, *required, optional=(REMITTANCE,))
    account = _members(body["creditorAccount"], "iban", optional=("bic",))
    return Payment(
        _name(body["creditorName"]),
        _iban(account["iban"]),
        _money(body["instructedAmount"]),
        _bic(account["bic"]) if "bic" in account else None,
        _remittance(body[REMITTANCE]) if REMITTANCE in body else None,
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return read_object(raw)
    except ValueError:
        raise InvalidBody("the body is not one JSON object") from None


def _members(value: object, *names: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() - set(optional) != set(names):
        perhaps = f", and perhaps {', '.join(optional)}" if optional else ""
        raise InvalidBody(f"exactly these members are expected: {', '.join(names)}{perhaps}")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not _shows(value.strip()) or len(value.strip()) > _LONGEST_NAME:
        raise InvalidBody("creditorName is 1 to 70 visible characters")
    return value.strip()


def _remittance(value: object) -> str:
    if not isinstance(value, str) or not _shows(value) or len(value) > _LONGEST_REMITTANCE:
        raise InvalidBody(f"{REMITTANCE} is 1 to 140 visible characters")
    return value


def _shows(text: str) -> bool:
    # On a statement it is seen, on its own line: letters or digits, and not many marks stacked on them.
    kinds = "".join(unicodedata.category(character)[0] for character in text)
    bases = kinds.count("L") + kinds.count("N")
    stacked = "MMM" in kinds or kinds.count("M") > bases
    return bases > 0 and not stacked and text.isprintable() and not _BLANK & set(text)


def _bic(value: object) -> str:
    if not isinstance(value, str) or _BIC.fullmatch(value) is None:
        raise InvalidBody("bic is a BIC of 8 or 11 characters")
    return value


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
