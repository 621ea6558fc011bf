"""JSON that means one thing to every reader, or is refused (RFC 8259 §4, §8.2)."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_DIGITS = 100


def read(text: str, depth: int) -> Any:
    """The value in ``text``, arrays and objects in each other no deeper than ``depth``; ValueError otherwise.

    No member twice, no number beyond what all read alike, no text that is none: NUL, half a surrogate pair.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=_int, parse_float=_float
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _judge(value, depth)
    return value


def _judge(value: Any, depth: int) -> None:
    """ValueError for what is too deep, or holds strings that are no text; no deeper is looked."""
    level = [value]
    for _ in range(depth + 1):
        if not all(_is_text(item) for item in level if isinstance(item, str)):
            raise ValueError("a string is no text")
        inside = [item for item in level if isinstance(item, dict | list)]
        if not inside:
            return
        level = [
            one for item in inside for one in ((*item, *item.values()) if isinstance(item, dict) else item)
        ]
    raise ValueError("nested too deeply")


def _is_text(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What a repeated name means is anybody's guess."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member is repeated")
    return result


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number out of range")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number out of range")
    return value
