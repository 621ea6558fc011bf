"""The claims of an access token, judged in the order of RFC 9068 §4."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from types import MappingProxyType
from typing import Any

from .access_token import AccessToken
from .errors import InvalidToken, Reason
from .keys import ALGORITHMS

_LATEST = 253_402_300_799  # the end of the year 9999
_LONGEST_NAME = 255
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")


@dataclass(frozen=True)
class Rules:
    """How strictly tokens are read: seconds for `leeway` and `iat_ahead`, characters for `max_bytes`."""

    algorithms: frozenset[str] = frozenset({"ES256", "EdDSA", "PS256"})
    leeway: int = 5
    iat_ahead: int = 60
    max_bytes: int = 16_384
    clock: Callable[[], float] = time

    def __post_init__(self) -> None:
        if not self.algorithms or not self.algorithms <= ALGORITHMS:
            raise ValueError(f"algorithms must be among {', '.join(sorted(ALGORITHMS))}")
        if not (0 <= self.leeway <= 60 and 0 <= self.iat_ahead <= 300):
            raise ValueError("leeway is 0 to 60 seconds, iat_ahead 0 to 300")


def check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    """Hold `iss` to the issuer, character by character (RFC 9068 §4)."""
    if claims.get("iss") != issuer:
        raise InvalidToken(Reason.ISSUER)


def check_audience(claims: Mapping[str, Any], audience: str) -> None:
    """Hold `aud`, a string or a list of strings, to name this API (RFC 9068 §4)."""
    if audience not in _audiences(claims):
        raise InvalidToken(Reason.AUDIENCE)


def check_times(claims: Mapping[str, Any], rules: Rules, *, required: tuple[str, ...]) -> None:
    """Hold `exp`, `iat` and `nbf` to be whole seconds, the `required` ones present, and now between them."""
    times = {name: _seconds(claims[name]) for name in ("exp", "iat", "nbf") if name in claims}
    if any(name not in times for name in required):
        raise InvalidToken(Reason.TIME)
    now = rules.clock()
    if "exp" in times and now >= times["exp"] + rules.leeway:
        raise InvalidToken(Reason.EXPIRED)
    if "nbf" in times and now + rules.leeway < times["nbf"]:
        raise InvalidToken(Reason.NOT_YET)
    if "iat" in times and now + rules.iat_ahead < times["iat"]:
        raise InvalidToken(Reason.NOT_YET)


def read_access_token(claims: Mapping[str, Any]) -> AccessToken:
    """Return the typed token; InvalidToken if a claim has another shape or the token is bound to a key.

    Issuer, audience and times have been judged before.
    """
    token = AccessToken(
        subject=_name(claims, "sub"),
        client_id=_name(claims, "client_id"),
        jti=_name(claims, "jti"),
        scopes=_scopes(claims),
        expires_at=_seconds(claims.get("exp")),
        issued_at=_seconds(claims["iat"]) if "iat" in claims else None,
        audience=_audiences(claims),
        gid=_name(claims, "gid") if "gid" in claims else None,
        acr=_optional_text(claims, "acr"),
        auth_time=_seconds(claims["auth_time"]) if "auth_time" in claims else None,
        authorization_details=_details(claims),
        claims=MappingProxyType(dict(claims)),
    )
    # Accepting a bound token as a bearer token would undo the binding (RFC 9449 §7.1, RFC 8705 §3).
    if "cnf" in claims:
        raise InvalidToken(Reason.SENDER_CONSTRAINED)
    return token


def _seconds(value: object) -> int:
    # bool is an int in Python; a float would let NaN and 1e308 in.
    if type(value) is not int or not 0 < value <= _LATEST:
        raise InvalidToken(Reason.TIME)
    return value


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    aud = claims.get("aud")
    listed = aud if isinstance(aud, list) else [aud]
    if not listed or not all(isinstance(item, str) and item for item in listed):
        raise InvalidToken(Reason.AUDIENCE)
    return tuple(listed)


def _name(claims: Mapping[str, Any], member: str) -> str:
    value = claims.get(member)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise InvalidToken(Reason.IDENTITY)
    return value


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    if "scope" not in claims:
        return frozenset()
    scope = claims["scope"]
    if not isinstance(scope, str) or _SCOPE.fullmatch(scope) is None:
        raise InvalidToken(Reason.SCOPE)
    return frozenset(scope.split(" "))


def _optional_text(claims: Mapping[str, Any], member: str) -> str | None:
    value = claims.get(member)
    if value is not None and not isinstance(value, str):
        raise InvalidToken(Reason.CLAIMS)
    return value


def _details(claims: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    details = claims.get("authorization_details", [])
    if not isinstance(details, list):
        raise InvalidToken(Reason.CLAIMS)
    if not all(isinstance(item, dict) and isinstance(item.get("type"), str) for item in details):
        raise InvalidToken(Reason.CLAIMS)
    return tuple(MappingProxyType(item) for item in details)
