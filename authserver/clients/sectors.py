"""Sectors (OpenID Connect Core §8.1): the host within which a person is the same to several clients.

Which one a client is of is decided when it registers, and kept: its addresses may change within it. Hosts
that are anybody's (loopback addresses, apps' own schemes) make no sector: all apps would share it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import Invalid
from ..outgoing import Failed, Outgoing, Refused
from .redirect_uris import LOOPBACK_HOSTS

SUBJECT_TYPES = ("public", "pairwise")
HEADERS = {"Accept": "application/json"}
MEDIA_TYPE = "application/json"
OK = 200


def sector_of(redirect_uris: Iterable[str], sector_identifier_uri: str | None) -> str:
    """The sector of a pairwise client, a host in lower case; Invalid where its addresses have no one host."""
    if sector_identifier_uri is not None:
        return _host(sector_identifier_uri)
    hosts = {_host(uri) for uri in redirect_uris}
    if len(hosts) != 1 or hosts & {"", *LOOPBACK_HOSTS}:
        raise Invalid(
            "A pairwise client has all its redirect URIs at one host of its own, or a sector_identifier_uri."
        )
    return hosts.pop()


def confirm(outgoing: Outgoing, sector_identifier_uri: str, redirect_uris: Iterable[str]) -> None:
    """What is at ``sector_identifier_uri`` lists every one of ``redirect_uris``; Invalid otherwise.

    OpenID Connect Registration §5. Asks for it now, once; Unavailable when too many are being asked.
    """
    try:
        answer = outgoing.get(sector_identifier_uri, HEADERS)
    except (Refused, Failed) as error:
        raise Invalid("What the sector_identifier_uri leads to cannot be had.") from error
    # what others may leave at a host, as pictures and texts, is not what the host says
    if answer.status != OK or answer.media_type != MEDIA_TYPE:
        raise Invalid("A sector_identifier_uri answers with 200 and application/json.")
    try:
        listed = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Invalid("What the sector_identifier_uri leads to is not JSON.") from error
    if not isinstance(listed, list) or not all(isinstance(uri, str) for uri in listed):
        raise Invalid("What the sector_identifier_uri leads to is an array of strings.")
    if not set(redirect_uris) <= set(listed):
        raise Invalid("What the sector_identifier_uri leads to lists every redirect URI.")


def _host(uri: str) -> str:
    """The host of a web address in one spelling; empty for a scheme that has none."""
    parts = urlsplit(uri)
    return (parts.hostname or "").rstrip(".") if parts.scheme in ("https", "http") else ""
