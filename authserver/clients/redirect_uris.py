"""Redirect URIs: which may be registered, and when a requested one is a registered one.

Comparison is that of strings (RFC 9700 §2.1); the one exception is the port of a native client's
loopback address (RFC 8252 §7.3). Nothing is normalised: two spellings of one place are two places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import Invalid
from ..texts import Text

MAX_LENGTH = 2000
APPLICATION_TYPES = ("web", "native")
# RFC 3986 §2: the characters of a URI without fragment; nothing that a browser would read otherwise
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
# an IP literal, since the name localhost may be resolved to elsewhere (RFC 8252 §8.3)
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?(/[^#]*)?")
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def validate(uri: str, application_type: str) -> None:
    """``uri`` may be registered for a client of this type; Invalid says why not."""
    if len(uri) > MAX_LENGTH or not _URI.fullmatch(uri) or _BAD_ESCAPE.search(uri):
        raise Invalid(f"A redirect URI is an absolute URI of at most {MAX_LENGTH} characters, no fragment.")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid("A redirect URI has a host and a port that can be read.") from error
    if _DOT_SEGMENT.search(parts.path):
        raise Invalid("The path of a redirect URI has no dot segments.")
    scheme = uri.partition(":")[0]
    if scheme not in ("https", "http"):
        _validate_private(uri, scheme, application_type)
        return
    if not uri.startswith(f"{scheme}://") or not host or "@" in parts.netloc or port == 0:
        raise Invalid("A redirect URI names a host, without user information.")
    if "[" in parts.path + parts.query or "]" in parts.path + parts.query:
        raise Invalid("Square brackets stand around an IPv6 address alone.")
    if scheme == "http" and host not in LOOPBACK_HOSTS:
        raise Invalid("A redirect URI is https; http is for a loopback address alone.")


def _validate_private(uri: str, scheme: str, application_type: str) -> None:
    """RFC 8252 §7.1: a private-use scheme is a domain name in reverse order."""
    if application_type != "native" or "." not in scheme or scheme != scheme.lower():
        raise Invalid("A scheme such as com.example.app is for native clients; others use https.")
    if not uri.startswith(f"{scheme}:/"):
        raise Invalid("After a private-use scheme comes a slash (RFC 8252 §7.1).")


def validate_address(uri: str) -> None:
    """``uri`` is a web address, without a fragment, to be called by this server; Invalid says why not."""
    try:
        parts = urlsplit(uri)
        fine = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fine = False
    if not fine or len(uri) > MAX_LENGTH or not _URI.fullmatch(uri) or _BAD_ESCAPE.search(uri):
        raise Invalid(f"An address to call is a URL of at most {MAX_LENGTH} characters, no fragment.")
    if not uri.startswith(("https://", "http://")):
        raise Invalid("An address to call is https; http is for a development server's own machine.")


def is_registered(requested: str, registered: Iterable[str], application_type: str) -> bool:
    """Whether a code may be sent to ``requested``."""
    known = frozenset(registered)
    if requested in known:
        return True
    if application_type != "native":
        return False
    place = _without_port(requested)
    return place is not None and any(place == _without_port(uri) for uri in known)


def reaches_client_alone(uri: str, application_type: str) -> bool:
    """Whether no other program can take what is sent to ``uri``: https on a host of the client's own.

    Ports of a loopback address and private-use schemes are anybody's on the device (RFC 8252 §8.6).
    """
    return (
        application_type != "native"
        and uri.startswith("https://")
        and urlsplit(uri).hostname not in LOOPBACK_HOSTS
    )


def place_of(uri: str, application_type: str) -> str:
    """Where a code sent to ``uri`` goes, for people: a host, or what is on their own device."""
    parts = urlsplit(uri)
    if parts.scheme not in ("https", "http"):
        return Text("the app %(name)s on this device", name=parts.scheme)
    if application_type == "native" and parts.hostname in LOOPBACK_HOSTS:
        return Text("an app on this device")
    return parts.netloc


def _without_port(uri: str) -> tuple[str, str] | None:
    """Host and rest of an http URI on a loopback address with any usable port; None for all others."""
    found = _LOOPBACK.fullmatch(uri)
    if found is None or not _URI.fullmatch(uri) or (found[2] and not 1 <= int(found[2]) <= 65_535):
        return None
    return found[1], found[3] or ""
