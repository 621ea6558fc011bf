"""The authorization server as an API sees it: its identifier and where its endpoints are (RFC 8414)."""

import logging
from collections.abc import Mapping
from threading import Lock
from time import monotonic
from urllib.parse import urlsplit

from .errors import Unavailable
from .http import Bounds, Http, checked_url
from .strict_json import read_object

_log = logging.getLogger(__name__)
_METADATA_SECONDS = 3600.0
_RETRY_SECONDS = 1.0


class Issuer:
    """An issuer whose endpoints are found by discovery, or told in `endpoints` by metadata name.

    With every needed name in `endpoints` (`jwks_uri`, `introspection_endpoint`, `revocations_uri`)
    the metadata document is never asked for.
    """

    def __init__(
        self, identifier: str, *, endpoints: Mapping[str, str] | None = None, http: Http | None = None
    ) -> None:
        for url in (identifier, *(endpoints or {}).values()):
            checked_url(url)
        if urlsplit(identifier).query:
            raise ValueError("an issuer has no query")
        self.identifier = identifier
        self.http = http or Http()
        self._told = dict(endpoints or {})
        self._found: dict[str, str] = {}
        self._again_at = 0.0
        self._lock = Lock()

    @classmethod
    def of(cls, issuer: "str | Issuer") -> "Issuer":
        """Return `issuer` as an Issuer, found by discovery if only its identifier is given."""
        return issuer if isinstance(issuer, Issuer) else cls(issuer)

    def endpoint(self, name: str) -> str:
        """Return the URL that the metadata gives as `name`; Unavailable if there is none now."""
        if name in self._told:
            return self._told[name]
        with self._lock:
            if monotonic() >= self._again_at:
                self._discover()
            url = self._found.get(name, "")
        try:
            return checked_url(url)
        except ValueError:
            raise Unavailable from None

    def _discover(self) -> None:
        self._again_at = monotonic() + _RETRY_SECONDS
        try:
            answer = self.http.get(metadata_url(self.identifier), Bounds(), {"accept": "application/json"})
            metadata = read_object(answer.body)
        except (Unavailable, ValueError):
            _log.warning("the issuer's metadata cannot be fetched")
            return
        # An issuer that speaks for another name is a mix-up or an attack (RFC 8414 §3.3).
        if answer.status != 200 or metadata.get("issuer") != self.identifier:
            _log.warning("the issuer's metadata is not its own")
            return
        self._found = {name: value for name, value in metadata.items() if isinstance(value, str)}
        self._again_at = monotonic() + _METADATA_SECONDS


def metadata_url(issuer: str) -> str:
    """Return where the metadata of `issuer` is: well-known before the issuer's own path (RFC 8414 §3.1)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
