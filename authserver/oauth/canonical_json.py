"""JSON in the one spelling of RFC 8785, for what is hashed and signed."""

from __future__ import annotations

import json
from typing import Any


def encode(value: dict[str, Any]) -> bytes:
    """``value`` in canonical form: members sorted by UTF-16 code units, no spaces, UTF-8 (RFC 8785 §3.2).

    Objects, arrays and texts alone: a number has many spellings, and none is needed here. ValueError for
    anything else, for a name that is no text, and for half a surrogate pair (RFC 8785 §3.2.2.2).
    """
    return _text_of(value).encode("utf-8")


def _text_of(value: Any) -> str:
    match value:
        case str():
            # of the standard library: the short escapes, \u00xx in lower case, everything else as it is
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{','.join(map(_text_of, value))}]"
        case dict():
            members = (f"{_text_of(name)}:{_text_of(value[name])}" for name in sorted(value, key=_order))
            return f"{{{','.join(members)}}}"
    raise ValueError("only objects, arrays and texts have a canonical form here")


def _order(name: Any) -> bytes:
    if not isinstance(name, str):
        raise ValueError("the name of a member is a text")
    return name.encode("utf-16-be")
