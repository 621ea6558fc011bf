"""Rich authorization requests (RFC 9396): what is asked for in detail, read strictly and in one spelling.

An element of an unknown type, with an unknown member or in a doubtful form is refused as a whole: what
the page shows, what the person approves and what the token says are one and the same value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ..clients import ClientRecord
from . import payment

MAX_ELEMENTS = 5
MAX_DEPTH = 5

Detail = dict[str, Any]
# The types that this server knows, each with the function that reads one element of it.
TYPES: dict[str, Callable[[Detail], Detail]] = {payment.TYPE: payment.read}


class Refused(Exception):
    """authorization_details that cannot be taken; ``reason`` is one of the audit log's words for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(text: str, client: ClientRecord) -> tuple[Detail, ...]:
    """The elements of ``text`` in canonical form, all of types that the client may ask for; Refused else."""
    elements = _array(text)
    details = []
    for element in elements:
        type_ = element.get("type") if isinstance(element, dict) else None
        if not isinstance(type_, str):
            raise Refused("rar_format")
        if type_ not in TYPES:
            raise Refused("rar_type")
        if type_ not in client.authorization_details_types:
            raise Refused("rar_type_not_allowed")
        try:
            details.append(TYPES[type_](element))
        except payment.Malformed as error:
            raise Refused(error.reason) from error
    if sum(detail["type"] == payment.TYPE for detail in details) > 1:
        # a page asks about one payment: nobody approves two by one glance
        raise Refused("rar_several_payments")
    return tuple(details)


def fits(text: str, granted: Iterable[Detail] | None) -> str:
    """Why ``text`` asks a token for other details than were granted (RFC 9396 §6); empty when it does not.

    All of them are asked for, each as it was requested or as it was approved: none is narrowed in silence.
    """
    try:
        wanted = _array(text)
    except Refused as refused:
        return refused.reason
    left = list(granted or ())
    for element in wanted:
        found = next((d for d in left if element in (d, payment.as_requested(d))), None)
        if found is None:
            return "rar_exceeds_grant"
        left.remove(found)
    return "rar_exceeds_grant" if left else ""


def payment_of(details: Iterable[Detail] | None) -> Detail | None:
    """The payment among ``details``, or None."""
    return next((detail for detail in details or () if detail["type"] == payment.TYPE), None)


def has(details: Iterable[Detail] | None, type_: str | None) -> bool:
    """Whether a detail of ``type_`` is among ``details``; where None is demanded, nothing is missing."""
    return type_ is None or any(detail["type"] == type_ for detail in details or ())


def locations_of(details: tuple[Detail, ...] | None) -> tuple[str, ...]:
    """Where the details are to be used (RFC 9396 §2.2), each once."""
    return tuple(dict.fromkeys(uri for detail in details or () for uri in detail.get("locations", ())))


def _array(text: str) -> list[Any]:
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=_int)
    except (ValueError, RecursionError) as error:
        raise Refused("rar_format") from error
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ELEMENTS or _too_deep(value):
        raise Refused("rar_format")
    return value


def _once(pairs: list[tuple[str, Any]]) -> Detail:
    """RFC 8259 §4: what a repeated name means is anybody's guess."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member is repeated")
    return result


def _refuse(_constant: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _int(text: str) -> int:
    if len(text) > 20:
        raise ValueError("a number out of range")
    return int(text)


def _too_deep(value: Any) -> bool:
    """Whether arrays and objects stand in each other deeper than ``MAX_DEPTH``; no deeper is looked."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inside = [item for item in level if isinstance(item, dict | list)]
        if not inside:
            return False
        level = [one for item in inside for one in (item.values() if isinstance(item, dict) else item)]
    return True
