"""Cross-origin answers (Fetch §3.2) for browsers' clients: token, userinfo and revoke, without credentials.

An origin counts if a registered redirect URI has it. An answer about a known client goes to its own alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from sqlalchemy import select

from ..cache import Versions, Whole
from ..clients import ClientRecord
from ..db import Database, table_of
from ..errors import Unavailable
from ..models.client import Client

EXPOSED = "WWW-Authenticate, DPoP-Nonce, Retry-After"
ACCEPTED = "Authorization, Content-Type, DPoP"
MAX_AGE = "600"
METHODS = {"token": "POST", "revoke": "POST", "userinfo": "GET, POST"}
table = table_of(Client)


def origins(redirect_uris: Iterable[str]) -> frozenset[str]:
    """The web origins (RFC 6454 §6.2) of redirect URIs; private-use schemes have none."""
    found = set()
    for uri in redirect_uris:
        parts = urlsplit(uri)
        if parts.scheme in ("https", "http"):
            host = parts.netloc.lower()
            default = ":443" if parts.scheme == "https" else ":80"
            found.add(f"{parts.scheme}://{host.removesuffix(default)}")
    return frozenset(found)


class Origins:
    """The origins of all active clients."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._known = Whole(versions, "clients", self._load)

    def headers(self, endpoint: str, origin: str, client: ClientRecord | None) -> list[tuple[str, str]]:
        """The headers by which a page of ``origin`` may read the answer; none for any other origin."""
        if not origin or endpoint not in METHODS:
            return []
        allowed = self._known.get() if client is None else origins(client.redirect_uris)
        return _headers(origin, allowed)

    def of_error(self, path: str, origin: str, status: int) -> list[tuple[str, str]]:
        """``headers`` for an error that no endpoint told itself; nothing is raised.

        A 5xx is not asked about: what failed may be the database, and the origins last held will do.
        """
        if not origin or path.removeprefix("/") not in METHODS:
            return []
        try:
            allowed = self._known.last() if status >= 500 else self._known.get()
        except Unavailable:
            allowed = self._known.last()
        return _headers(origin, allowed or frozenset())

    def warm(self) -> None:
        """Origins are held, for errors while the database is away; Unavailable if it is gone already."""
        self._known.get()

    def preflight(self, endpoint: str, origin: str) -> list[tuple[str, str]]:
        """The headers of an answer to OPTIONS, which names no client yet; none for an unknown origin."""
        if origin not in self._known.get():
            return []
        return [
            *self.headers(endpoint, origin, None),
            ("Access-Control-Allow-Methods", METHODS[endpoint]),
            ("Access-Control-Allow-Headers", ACCEPTED),
            ("Access-Control-Max-Age", MAX_AGE),
        ]

    def _load(self) -> frozenset[str]:
        with self._database.reading() as connection:
            registered = connection.execute(select(table.c.redirect_uris).where(table.c.state == "active"))
            return origins(uri for uris in registered.scalars() for uri in uris)


def _headers(origin: str, allowed: frozenset[str]) -> list[tuple[str, str]]:
    if origin not in allowed:
        return [("Vary", "Origin")]
    return [
        ("Vary", "Origin"),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", EXPOSED),
    ]
