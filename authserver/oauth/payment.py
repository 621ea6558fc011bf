"""The authorization details type ``payment_initiation``: one credit transfer, told exactly.

Members: ``type``; ``instructedAmount`` {``amount``: a decimal string with all the digits of its currency,
``currency``: ISO 4217}; ``creditorName``; ``creditorAccount`` {``iban``, optional ``bic``}; optional
``actions``, ``locations`` (RFC 9396 §2.2) and ``remittanceInformationUnstructured``. The payer adds
``debtorAccount`` by choosing it (RFC 9396 §7.1); a client never may.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .. import crypto
from ..texts import Text
from ..visible_text import shows
from .iso4217 import DECIMALS
from .iso13616 import LENGTHS

TYPE = "payment_initiation"
ACTIONS = frozenset({"initiate", "status", "cancel"})
MAX_NAME = 70  # ISO 20022 Max70Text
MAX_REMITTANCE = 140  # Max140Text
MAX_LOCATION = 300
REQUIRED = frozenset({"type", "instructedAmount", "creditorName", "creditorAccount"})
# the payer's account, and how the approval is known: id and digest of its evidence
ADDED = frozenset({"debtorAccount", "approval"})
OPTIONAL = frozenset({"actions", "locations", "remittanceInformationUnstructured"})

# ten digits before the point: no payment of this world, and no float on the way to one
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]+))?", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)


class Malformed(Exception):
    """An element that is not a payment; ``reason`` is one of the audit log's words for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a payer. ``iban`` in electronic form, ``name`` as the payer knows it."""

    iban: str
    name: str
    currency: str


class Accounts(Protocol):
    """Where the accounts of people come from: a port, for a bank to fill."""

    def of(self, user_id: str) -> tuple[Account, ...]:
        """The accounts that the person may pay from, in the order in which to offer them."""


class DemoAccounts:
    """Two accounts for everybody, made up from the user id; for the dev profile alone."""

    def of(self, user_id: str) -> tuple[Account, ...]:
        """A current and a savings account of a bank that does not exist."""
        number = int.from_bytes(crypto.digest(f"demo-account/{user_id}")[:4], "big") % 10**8
        names = (Text("Current account"), Text("Savings account"))
        return tuple(
            Account(_with_check_digits("DE", f"00000000{number:08}{place:02}"), name, "EUR")
            for place, name in enumerate(names, 1)
        )


class NoAccounts:
    """No accounts: until a bank fills the port, nobody can pay."""

    def of(self, _user_id: str) -> tuple[Account, ...]:
        """None."""
        return ()


def read(element: dict[str, Any]) -> dict[str, Any]:
    """The payment in canonical form: members in one order, lists without repetition; Malformed otherwise."""
    if not element.keys() <= REQUIRED | OPTIONAL:
        raise Malformed("rar_unknown_field")
    payment: dict[str, Any] = {"type": TYPE}
    if "actions" in element:
        payment["actions"] = _texts(element["actions"], ACTIONS.__contains__)
    if "locations" in element:
        payment["locations"] = _texts(element["locations"], _is_location)
    payment["instructedAmount"] = _amount(element.get("instructedAmount"))
    payment["creditorName"] = _text(element.get("creditorName"), MAX_NAME)
    payment["creditorAccount"] = _account(element.get("creditorAccount"))
    if "remittanceInformationUnstructured" in element:
        remittance = _text(element["remittanceInformationUnstructured"], MAX_REMITTANCE)
        payment["remittanceInformationUnstructured"] = remittance
    return payment


def paid_from(payment: dict[str, Any], account: Account) -> dict[str, Any]:
    """The payment as approved: with the account that the payer chose."""
    return payment | {"debtorAccount": {"iban": account.iban}}


def as_requested(payment: dict[str, Any]) -> dict[str, Any]:
    """The payment as the client asked for it: without what approving it added."""
    return {name: value for name, value in payment.items() if name not in ADDED}


def valid_iban(text: str) -> bool:
    """Whether ``text`` is an IBAN of its country's length, its check digits right (ISO 13616, ISO 7064)."""
    if not _IBAN.fullmatch(text) or len(text) != LENGTHS.get(text[:2]):
        return False
    return 2 <= int(text[2:4]) <= 98 and _modulo_97(text) == 1


def _modulo_97(iban: str) -> int:
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97


def _with_check_digits(country: str, number: str) -> str:
    return f"{country}{98 - _modulo_97(f'{country}00{number}'):02}{number}"


def _amount(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Malformed("rar_amount")
    if not value.keys() <= {"amount", "currency"}:
        raise Malformed("rar_unknown_field")
    currency, amount = value.get("currency"), value.get("amount")
    if not isinstance(currency, str) or currency not in DECIMALS:
        raise Malformed("rar_currency")
    found = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    if found is None or len(found[2] or "") != DECIMALS[currency] or not int(found[1] + (found[2] or "")):
        raise Malformed("rar_amount")
    return {"amount": found[0], "currency": currency}


def _account(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Malformed("rar_iban")
    if not value.keys() <= {"iban", "bic"}:
        raise Malformed("rar_unknown_field")
    iban = value.get("iban")
    if not isinstance(iban, str) or not valid_iban(iban):
        raise Malformed("rar_iban")
    if "bic" not in value:
        return {"iban": iban}
    bic = value["bic"]
    if not isinstance(bic, str) or not _BIC.fullmatch(bic):
        raise Malformed("rar_bic")
    return {"iban": iban, "bic": bic}


def _text(value: Any, longest: int) -> str:
    """One line that people see as what it is."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Malformed("rar_format")
    if not shows(value):
        raise Malformed("rar_format")
    return value


def _texts(value: Any, fine: Callable[[str], bool]) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise Malformed("rar_format")
    if len(set(value)) != len(value) or not all(map(fine, value)):
        raise Malformed("rar_format")
    return list(value)


def _is_location(text: str) -> bool:
    """An absolute URI by its look; that an API is there is for the request's other checks."""
    return len(text) <= MAX_LOCATION and text.startswith(("https://", "http://")) and text.isascii()
