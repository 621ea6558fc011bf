"""The body of a registration: one JSON object, read strictly (RFC 8259 §4, RFC 7591 §3.1)."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ..request import HTTPRequest, rejected
from .refusals import refused

MAX_BYTES = 32_768
MAX_MEMBERS = 100
MAX_DEPTH = 8
JSON = "application/json"


def read(request: HTTPRequest) -> dict[str, Any]:
    """The members that have a value; ProtocolError for any other form than RFC 7591's.

    RFC 7592 §2.2: null stands for a member that is left out.
    """
    if request.body is None or len(request.body) > MAX_BYTES:
        raise rejected("too_large", "The body is too large.", 413)
    media_type, *parameters = (part.strip() for part in request.headers.get("content-type", "").split(";"))
    if media_type.lower() != JSON or any(p.lower() not in ("charset=utf-8", "") for p in parameters):
        raise rejected("json_type", "The body must be application/json.", 415)
    try:
        document = json.loads(
            request.body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise refused("json") from None
    if not isinstance(document, dict) or len(document) > MAX_MEMBERS or not _is_plain(document, MAX_DEPTH):
        raise refused("json")
    return {name: value for name, value in document.items() if value is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member is repeated")
    return result


def _no_constant(_text: str) -> NoReturn:
    raise ValueError("no number of JSON")


def _is_plain(value: Any, depth: int) -> bool:
    """Whether ``value`` nests no deeper than ``depth``, and its strings are text that any database takes."""
    if isinstance(value, str):
        # a lone surrogate is no text (RFC 8259 §8.2)
        return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return depth > 0 and all(
            _is_plain(name, depth) and _is_plain(v, depth - 1) for name, v in value.items()
        )
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return True
