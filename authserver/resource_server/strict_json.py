"""JSON as RFC 8259 and RFC 7515 §4 mean it: one meaning per text, or none."""

import json
import math
from typing import Any, NoReturn


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`.

    ValueError for anything else: other top levels, bad UTF-8, repeated members, NaN, infinite
    numbers, lone surrogates, nesting beyond the interpreter's limit (RFC 7515 §5.2).
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if "\\u" in text:
            # A lone surrogate survives parsing and breaks whoever encodes the value later.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number
