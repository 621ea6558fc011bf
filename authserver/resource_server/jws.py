"""A signed JWT in compact form, opened with the issuer's keys alone (RFC 7515, RFC 8725)."""

import base64
import re
from dataclasses import dataclass
from typing import Any

from .errors import InvalidToken, Reason
from .keys import KeySource, VerificationKey
from .strict_json import read_object

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# Members by which a token would choose the key it is judged with (RFC 8725 §3.10).
_FOREIGN_KEY = ("jwk", "jku", "x5c", "x5u")


@dataclass(frozen=True)
class Expected:
    """What a signed JWT must look like before its claims count: `typ` values, algorithms, bytes."""

    types: frozenset[str]
    algorithms: frozenset[str]
    max_bytes: int


def open_signed(text: str, expected: Expected, keys: KeySource) -> dict[str, Any]:
    """Return the claims of `text` once its signature holds.

    InvalidToken with the first reason found, in the order of RFC 9068 §4; Unavailable if no key
    can be had.
    """
    if len(text) > expected.max_bytes:
        raise InvalidToken(Reason.SIZE)
    parts = _COMPACT.fullmatch(text)
    if parts is None:
        raise InvalidToken(Reason.FORM)
    header = _read(parts[1], Reason.HEADER)
    key = _key(header, expected, keys)
    signature = _decode(parts[3], Reason.FORM)
    signing_input = text[: parts.end(2)].encode("ascii")
    if not key.verifies(signing_input, signature):
        raise InvalidToken(Reason.SIGNATURE)
    return _read(parts[2], Reason.CLAIMS)


def _key(header: dict[str, Any], expected: Expected, keys: KeySource) -> VerificationKey:
    typ, alg, kid = (header.get(member) for member in ("typ", "alg", "kid"))
    if not isinstance(typ, str) or typ not in expected.types:
        raise InvalidToken(Reason.TYPE)
    if not isinstance(alg, str) or alg not in expected.algorithms:
        raise InvalidToken(Reason.ALGORITHM)
    if "crit" in header or "b64" in header:
        raise InvalidToken(Reason.CRITICAL)
    if any(member in header for member in _FOREIGN_KEY):
        raise InvalidToken(Reason.FOREIGN_KEY)
    if not isinstance(kid, str) or not kid:
        raise InvalidToken(Reason.KEY)
    key = keys.key(kid)
    if key is None:
        raise InvalidToken(Reason.KEY)
    if key.alg != alg:
        raise InvalidToken(Reason.ALGORITHM)
    return key


def _read(part: str, reason: Reason) -> dict[str, Any]:
    try:
        return read_object(_decode(part, reason))
    except ValueError:
        raise InvalidToken(reason) from None


def _decode(part: str, reason: Reason) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise InvalidToken(reason) from None
    # Stray last bits would give one token several spellings.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode("ascii"):
        raise InvalidToken(reason)
    return raw
