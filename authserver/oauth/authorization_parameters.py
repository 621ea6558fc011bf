"""The parameters of an authorization request as they came, before anybody judged them.

The form of a request is told apart from its content here because an error has to know where it may go:
a repeated ``state`` is told to the client, a repeated ``redirect_uri`` to nobody but the person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ..audit import Event
from ..errors import ProtocolError
from ..texts import Text
from . import request
from .request import HTTPRequest

MAX_BYTES = 16_384
REPEATABLE = frozenset({"resource"})
# Their values are judged as a whole, so any character may stand in them: one more way to be wrong.
WHOLE = frozenset({"client_id", "redirect_uri", "authorization_details", "claims"})
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
UNREADABLE = "\ufffd"


def rejected(
    reason: str,
    description: str,
    *,
    error: str = "invalid_request",
    client_id: str = "",
    status: int = 400,
) -> ProtocolError:
    """An authorization request that is refused (RFC 6749 §4.1.2.1)."""
    return ProtocolError(
        error,
        description,
        event=Event.AUTHZ_REJECTED,
        reason=reason,
        status=status,
        client_id=client_id,
    )


def too_large(client_id: str = "", status: int = 400) -> ProtocolError:
    """What is too long to be kept is refused, never cut."""
    text = Text("The authorization request is too large.")
    return rejected("request_too_large", text, client_id=client_id, status=status)


@dataclass
class Parameters:
    """``values`` holds the first value of each parameter that has one; ``repeated`` names those sent twice.

    ``readable`` is False when a name or value is not UTF-8 or holds control characters.
    """

    values: dict[str, str] = field(default_factory=dict)
    resources: list[str] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)
    readable: bool = True

    def get(self, name: str) -> str | None:
        """The value of ``name``; RFC 6749 §3.1: one without a value counts as omitted."""
        return self.values.get(name)


def parse(incoming: HTTPRequest) -> Parameters:
    """The parameters of GET's query or POST's body; ProtocolError when there is no telling them."""
    if incoming.method != "POST":
        raw = incoming.query.encode("utf-8", "surrogatepass")
    else:
        if incoming.query:
            raise rejected("parameter_in_query", Text("Parameters belong in the request body."))
        if incoming.body is None:
            raise too_large(status=413)
        request.check_content_type(incoming.headers.get("content-type", ""))
        raw = incoming.body
    if len(raw) > MAX_BYTES:
        raise too_large()
    pairs = [pair for pair in raw.split(b"&") if pair]
    if len(pairs) > request.MAX_PARAMETERS:
        raise rejected("too_many_parameters", Text("There are too many parameters."))
    return _collect(pairs)


def _collect(pairs: list[bytes]) -> Parameters:
    found = Parameters()
    seen: set[str] = set()
    for pair in pairs:
        name_bytes, _, value_bytes = pair.partition(b"=")
        name, value = _text(name_bytes), _text(value_bytes)
        found.readable &= not _CONTROL.search(name + ("" if name in WHOLE else value))
        if name not in WHOLE:
            found.readable &= UNREADABLE not in name + value
        if name in REPEATABLE:
            found.resources += [value] if value else []
            continue
        if name in seen:
            found.repeated.add(name)
        seen.add(name)
        if value:
            found.values.setdefault(name, value)
    return found


def _text(raw: bytes) -> str:
    """One decode of form encoding; a text that no check lets pass if it is none."""
    try:
        text = raw.decode("ascii").replace("+", " ")
        if _BAD_ESCAPE.search(text):
            return UNREADABLE
        return unquote_to_bytes(text).decode("utf-8")
    except ValueError:
        return UNREADABLE
