"""JWKS and metadata as bytes made once: the same for everybody until keys or scopes change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import crypto
from .errors import RequestRejected, Unavailable
from .oauth.discovery import metadata

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .services import Services

METADATA_PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


@dataclass(frozen=True, slots=True)
class Document:
    """A body with the headers that go with it, and the object it was made from."""

    source: object
    body: bytes
    headers: tuple[tuple[str, str], ...]
    etag: str


class Documents:
    """The public documents of one issuer."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._max_age = services.settings.jwks_max_age
        self._jwks: Document | None = None
        self._metadata: Document | None = None

    def warm(self) -> None:
        """Both are held, to be served when the database goes; Unavailable if it is gone already."""
        self.jwks()
        self.metadata()

    def answer(self, environ: WSGIEnvironment, path: str, start: Any) -> list[bytes] | None:
        """The answer to a GET of one of the documents, 405 to other methods; None for every other path."""
        if path == "/jwks":
            current: Callable[[], Document] = self.jwks
        elif path in METADATA_PATHS:
            current = self.metadata
        else:
            return None
        method = environ.get("REQUEST_METHOD")
        if method not in ("GET", "HEAD"):
            raise RequestRejected(
                405, "method", "This method is not supported here.", [("Allow", "GET, HEAD")]
            )
        document = current()
        headers = list(document.headers)
        # RFC 9110 §13.1.2: the comparison is a weak one
        tags = [tag.strip().removeprefix("W/") for tag in environ.get("HTTP_IF_NONE_MATCH", "").split(",")]
        if document.etag in tags or tags == ["*"]:
            start("304 Not Modified", headers)
            return []
        headers.append(("Content-Length", str(len(document.body))))
        start("200 OK", headers)
        return [document.body] if method == "GET" else []

    def jwks(self) -> Document:
        """The key set (RFC 7517 §5); the last one known while the database is away."""
        try:
            keys = self._services.keys.published()
        except Unavailable:
            keys = self._services.keys.held()
        if self._jwks is None or self._jwks.source is not keys:
            body = {"keys": [key.public for key in keys]}
            self._jwks = self._document(keys, body, "application/jwk-set+json")
        return self._jwks

    def metadata(self) -> Document:
        """The metadata (RFC 8414 §3.2); the last one known while the database is away."""
        services = self._services
        try:
            scopes = services.scopes.all()
        except Unavailable:
            if self._metadata is None:
                raise
            return self._metadata
        if self._metadata is None or self._metadata.source is not scopes:
            body = metadata(services.settings, services.server, services.scopes)
            self._metadata = self._document(scopes, body, "application/json")
        return self._metadata

    def _document(self, source: object, body: dict[str, Any], media_type: str) -> Document:
        data = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        etag = f'"{crypto.b64u(crypto.sha256(data))[:22]}"'
        headers = (
            ("Content-Type", media_type),
            ("Cache-Control", f"public, max-age={self._max_age}"),
            ("ETag", etag),
            ("Access-Control-Allow-Origin", "*"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return Document(source, data, headers, etag)
