"""A request to a protocol endpoint, read strictly: what is ambiguous is refused, never guessed.

RFC 6749 §3.2: parameters come in the body as application/x-www-form-urlencoded, each at most once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload, OAuth2Request

from ..audit import Event
from ..errors import ProtocolError
from ..texts import Text

MAX_PARAMETERS = 100
# RFC 8707 §2 lets it repeat; token exchange will add audience (RFC 8693 §2.1)
REPEATABLE = frozenset({"resource"})
# compared as a whole with what was given out: any text may stand here, and is one more that never was
OPAQUE = frozenset({"code", "refresh_token"})
FORM = "application/x-www-form-urlencoded"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """What the web layer hands over: nothing of Flask, nothing decoded yet.

    ``headers`` has lower-case names; ``address`` is the client's true address. A ``body`` of None was
    larger than the server reads.
    """

    endpoint: str
    method: str
    headers: Mapping[str, str]
    query: str
    body: bytes | None
    address: str


class ProtocolRequest(OAuth2Request):  # type: ignore[misc]
    """An HTTPRequest in the form that Authlib's dispatcher reads.

    Authlib's constructor demands https in the URL and answers 500 otherwise; whether plain http may be
    is decided once, for the issuer, by the settings.
    """

    def __init__(self, request: HTTPRequest, form: dict[str, str], resources: tuple[str, ...]) -> None:
        self.method = request.method
        self.uri = ""
        self.headers = request.headers
        self.endpoint = request.endpoint
        self.address = request.address
        self.resources = resources
        self.payload = BasicOAuth2Payload(form)
        self.client: Any = None
        self.auth_method: str | None = None
        self.user: Any = None
        self.response_headers: list[tuple[str, str]] = []
        self._form = form
        self._scope = None

    @property
    def form(self) -> dict[str, str]:
        """The parameters of the body."""
        return self._form


def rejected(reason: str, description: str, status: int = 400) -> ProtocolError:
    """A request whose form is wrong, before anybody asked who sent it."""
    return ProtocolError(
        "invalid_request", description, event=Event.HTTP_REJECTED, reason=reason, status=status
    )


def parse(request: HTTPRequest) -> ProtocolRequest:
    """The request with its parameters decoded once; ProtocolError for any other form than RFC 6749's."""
    if request.body is None:
        raise rejected("too_large", "The body is too large.", 413)
    if request.query:
        raise rejected("method_or_parameter", "Parameters belong in the request body.")
    check_content_type(request.headers.get("content-type", ""))
    form, repeated = parse_form(request.body)
    return ProtocolRequest(request, form, tuple(repeated.get("resource", ())))


def check_content_type(value: str) -> None:
    """``value`` is RFC 6749's media type in UTF-8; ProtocolError otherwise."""
    media_type, *parameters = (part.strip() for part in value.lower().split(";"))
    fine = media_type == FORM and all(p in ("charset=utf-8", 'charset="utf-8"', "") for p in parameters)
    if not fine:
        text = Text("The body must be application/x-www-form-urlencoded in UTF-8.")
        raise rejected("content_type", text, 415)


@dataclass
class _Form:
    single: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=dict)


def parse_form(
    body: bytes, repeatable: Collection[str] = REPEATABLE
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Parameters that occur once, and the lists of those that may repeat; ProtocolError otherwise.

    RFC 6749 §3.2: "Parameters sent without a value MUST be treated as if they were omitted".
    """
    result = _Form()
    pairs = body.split(b"&") if body else []
    if len(pairs) > MAX_PARAMETERS:
        raise rejected("too_many_parameters", "There are too many parameters.")
    seen: set[str] = set()
    for pair in pairs:
        if not pair:
            continue
        name_bytes, _, value_bytes = pair.partition(b"=")
        name = decode(name_bytes)
        value = decode(value_bytes, nul=name in OPAQUE)
        if name in repeatable:
            if value:
                result.repeated.setdefault(name, []).append(value)
            continue
        if name in seen:
            raise rejected("duplicate_parameter", "A parameter is repeated.")
        seen.add(name)
        if value:
            result.single[name] = value
    return result.single, result.repeated


def decode(raw: bytes, *, nul: bool = False) -> str:
    """One decode of form encoding into text, without NUL unless ``nul``; ProtocolError if it is not UTF-8."""
    try:
        text = raw.decode("ascii").replace("+", " ")
        if _BAD_ESCAPE.search(text):
            raise ValueError("a percent sign without two digits")
        decoded = unquote_to_bytes(text).decode("utf-8")
    except ValueError as error:
        raise rejected("encoding", "The parameters are not valid form encoding of UTF-8.") from error
    if "\x00" in decoded and not nul:
        raise rejected("encoding", "The parameters are not valid form encoding of UTF-8.")
    return decoded
