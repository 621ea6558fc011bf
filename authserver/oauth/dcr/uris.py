"""Addresses in metadata other than redirect URIs: https, public by their look, and asked by nobody here.

What a name leads to is judged when it is called (``outgoing``); a name that no public resolver has, or an
address inside in any spelling, is refused right away. Those that are only shown obey the same rule.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from ...outgoing import MAX_URL, Outgoing, Refused
from ...partners import LOOPBACK
from .refusals import refused

# RFC 6761, RFC 6762, RFC 8375, and what ICANN keeps for private use
PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "test", "invalid", "onion")
# what a browser would decode is no name
_HOST = re.compile(r"[a-z0-9._:-]+")
# a name that spells an address, as wildcard resolvers have them: 10.0.0.5.nip.example
_SPELLED = re.compile(r"(?:^|[.-])([0-9]{1,3}(?:[.-][0-9]{1,3}){3})(?=[.-]|$)")
HTTPS_PORT = 443
# below it are services that were never meant to be spoken to like this
FIRST_FREE_PORT = 1024


def judge(value: Any, outgoing: Outgoing) -> str:
    """``value`` as it is, when it may stand in metadata; ProtocolError otherwise.

    Plain http, and names of this machine, are for a loopback address alone, where ``outgoing`` may reach it.
    """
    if not isinstance(value, str) or not value or len(value) > MAX_URL:
        raise refused("uri_blocked")
    scheme, colon, _ = value.partition(":")
    if not colon or scheme not in ("https", "http") or not value.startswith(f"{scheme}://"):
        raise refused("uri_scheme")
    try:
        parts = urlsplit(value)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise refused("uri_blocked") from None
    if scheme == "http" and host not in LOOPBACK:
        raise refused("uri_scheme")
    try:
        outgoing.check(value)
        if host == "localhost":
            # what it is resolved to; a loopback address must be allowed as such
            outgoing.check(f"{scheme}://127.0.0.1/")
        for spelled in _SPELLED.findall(host):
            outgoing.check(f"https://{spelled.replace('-', '.')}/")
    except Refused as error:
        raise refused("uri_scheme" if error.reason == "uri_scheme" else "uri_blocked") from error
    if host not in LOOPBACK:
        _judge_public(host, port)
    return value


def _judge_public(host: str, port: int | None) -> None:
    private = any(host == name or host.endswith(f".{name}") for name in PRIVATE_NAMES)
    if private or not _HOST.fullmatch(host) or ("." not in host and ":" not in host):
        raise refused("uri_blocked")
    if port is not None and port != HTTPS_PORT and port < FIRST_FREE_PORT:
        raise refused("uri_blocked")
