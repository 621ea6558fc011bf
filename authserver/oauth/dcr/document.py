"""The body of a registration: one JSON object, read strictly (RFC 8259 §4, RFC 7591 §3.1)."""

from __future__ import annotations

from typing import Any

from ... import strict_json
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
        document = strict_json.read(request.body.decode("utf-8"), MAX_DEPTH)
    except ValueError:
        raise refused("json") from None
    if not isinstance(document, dict) or len(document) > MAX_MEMBERS:
        raise refused("json")
    return {name: value for name, value in document.items() if value is not None}
