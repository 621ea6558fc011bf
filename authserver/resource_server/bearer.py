"""The one bearer token of a request, taken from the Authorization header alone (RFC 6750 §2.1)."""

import re
from urllib.parse import parse_qsl

from .errors import InvalidRequest, MissingToken

_CREDENTIALS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?: .*)?", re.DOTALL)
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)


def bearer_token(authorization: str | None, *, elsewhere: bool) -> str:
    """Return the token in the value of the Authorization header.

    MissingToken if there is none or another scheme; InvalidRequest if it is malformed, repeated
    (servers join repeated headers with a comma) or, as `elsewhere` tells, also or only in the query
    or the body (RFC 9700 §4.3.2).
    """
    if elsewhere:
        raise InvalidRequest
    if authorization is None or not authorization.strip():
        raise MissingToken
    if "," in authorization or _CREDENTIALS.fullmatch(authorization) is None:
        raise InvalidRequest
    if authorization.partition(" ")[0].lower() != "bearer":
        raise MissingToken
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise InvalidRequest
    return found[1]


def names_token(urlencoded: str) -> bool:
    """Tell whether a query or form, as it came, has a parameter `access_token`."""
    try:
        pairs = parse_qsl(urlencoded, keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return True
    return any(name == "access_token" for name, _value in pairs)
