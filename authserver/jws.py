"""Reading JWTs from outside: the strict form that every place demands before a signature is looked at.

RFC 7515 §7.1 for the form, RFC 8725 for what a header may ask. What fails here is never verified.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from . import compact_json, crypto

MAX_BYTES = 16_384
JWE_PARTS = 5
_DECOY = ECKey.generate_key("P-256", private=False)
_NO_SIGNATURE = bytes([1]) * 64
# Headers that name a key by value or by address: keys come from registration and from the key store alone.
KEY_HEADERS = ("jwk", "x5c", "jku", "x5u")


class Rejected(Exception):
    """A JWT that does not hold; ``reason`` is one of the audit log's words for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Unverified:
    """A JWT in the right form whose signature nobody has checked yet."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def kid(self) -> str:
        """The key id, or an empty string."""
        kid = self.header.get("kid", "")
        return kid if isinstance(kid, str) else ""

    def verify(self, key: Any, alg: str) -> dict[str, Any]:
        """The claims, once ``key`` verified the signature made by ``alg``; Rejected otherwise."""
        if self.header["alg"] != alg:
            raise Rejected("alg_not_allowed")
        signing_input, _, signature = self.text.rpartition(".")
        algorithm = JWSRegistry.algorithms[alg]
        try:
            algorithm.check_key(key)
            holds = algorithm.verify(signing_input.encode(), crypto.b64u_decode(signature), key)
        except (JoseError, ValueError, TypeError) as error:
            raise Rejected("signature") from error
        if not holds:
            raise Rejected("signature")
        return self.claims

    def verify_in_vain(self) -> None:
        """Nothing is learnt; it took the time of a verification with ES256."""
        algorithm = JWSRegistry.algorithms["ES256"]
        with suppress(JoseError, ValueError):
            algorithm.verify(self.text.encode(), _NO_SIGNATURE, _DECOY)


def sign(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """``claims`` as a compact JWS (RFC 7515 §7.1) by ``key`` and the ``alg`` of ``header``."""
    algorithm = JWSRegistry.algorithms[header["alg"]]
    algorithm.check_key(key)
    text = f"{_segment(header)}.{_segment(claims)}"
    return f"{text}.{crypto.b64u(algorithm.sign(text.encode(), key))}"


def _segment(value: dict[str, Any]) -> str:
    return crypto.b64u(compact_json.encode(value))


def parse(text: str, *, typ: Collection[str], algs: Collection[str]) -> Unverified:
    """A JWT of one of the types ``typ`` (lower case) and algorithms ``algs``, unverified; Rejected else."""
    if len(text) > MAX_BYTES:
        raise Rejected("too_large")
    parts = text.split(".")
    if len(parts) == JWE_PARTS:
        raise Rejected("jwe")
    if len(parts) != 3 or not all(parts[:2]):
        raise Rejected("format")
    header = _object(parts[0])
    _judge_header(header, typ, algs)
    if not parts[2]:
        raise Rejected("format")
    try:
        crypto.b64u_decode(parts[2])
    except ValueError as error:
        raise Rejected("format") from error
    return Unverified(text, header, _object(parts[1]))


def _judge_header(header: Mapping[str, Any], typ: Collection[str], algs: Collection[str]) -> None:
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algs:
        raise Rejected("jwe" if "enc" in header else "alg_not_allowed")
    if "crit" in header or "b64" in header:
        raise Rejected("crit")
    if any(name in header for name in KEY_HEADERS):
        raise Rejected("key_not_trusted")
    if "\x00" in str(header.get("kid", "")):
        # the key store is asked for it, and PostgreSQL has no such text
        raise Rejected("kid")
    given = header.get("typ", "")
    # RFC 7515 §4.1.9: the prefix application/ may be left out; media types ignore case
    if not isinstance(given, str) or given.lower().removeprefix("application/") not in typ:
        raise Rejected("typ")


def _object(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(
            crypto.b64u_decode(segment).decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_refuse,
            parse_float=_finite,
        )
        # RFC 8259 §8.2: half a surrogate pair is no text, and no key of any database
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Rejected("format") from error
    if not isinstance(value, dict):
        raise Rejected("format")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a member is repeated")
    return result


def _refuse(_constant: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number out of range")
    return value


def numeric_date(claims: Mapping[str, Any], name: str) -> int:
    """A required NumericDate (RFC 7519 §2) in whole seconds; Rejected names the claim."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Rejected(name)
    return int(value)
