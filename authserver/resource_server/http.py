"""Outgoing requests to the issuer: bounded in time and size, no redirects, no proxies of the environment."""

import ipaddress
import os
import ssl
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from urllib.parse import urlsplit

import httpx

from .errors import Unavailable


@dataclass(frozen=True)
class Bounds:
    """How long one exchange may take, in seconds, and how many bytes its answer may have."""

    seconds: float = 2.0
    max_bytes: int = 262_144


@dataclass(frozen=True)
class Answer:
    """What came back: any status, header names in lower case, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Http:
    """A client for one issuer, safe to share between threads and to hold across a fork.

    `tls` is an SSL context of your own: a private root, or a client certificate.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._lock = Lock()
        self._client: httpx.Client | None = None
        self._pid = 0

    def get(self, url: str, bounds: Bounds, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a GET; Unavailable if there is none within `bounds`."""
        return self._send(self._connected().build_request("GET", checked_url(url), headers=headers), bounds)

    def post(self, url: str, bounds: Bounds, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        """Return the answer to a form sent by POST; Unavailable if there is none within `bounds`."""
        request = self._connected().build_request("POST", checked_url(url), headers=headers, data=form)
        return self._send(request, bounds)

    def _send(self, request: httpx.Request, bounds: Bounds) -> Answer:
        request.extensions["timeout"] = httpx.Timeout(bounds.seconds).as_dict()
        ends_at = monotonic() + bounds.seconds
        body = bytearray()
        try:
            response = self._connected().send(request, stream=True)
            try:
                # Raw bytes: a compressed answer could be small on the wire and endless in memory.
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > bounds.max_bytes or monotonic() > ends_at:
                        raise Unavailable
            finally:
                response.close()
        except httpx.HTTPError:
            raise Unavailable from None
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Unavailable
        return Answer(response.status_code, dict(response.headers), bytes(body))

    def _connected(self) -> httpx.Client:
        # A forked child must not share its parent's sockets.
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = _client(self._tls), os.getpid()
                weakref.finalize(self, self._client.close)
            return self._client


def _client(tls: ssl.SSLContext | None) -> httpx.Client:
    return httpx.Client(
        verify=tls if tls is not None else True,
        follow_redirects=False,
        trust_env=False,
        headers={"accept-encoding": "identity", "user-agent": "authserver-resource-server"},
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
    )


def checked_url(url: str) -> str:
    """Return `url` if it is https, or http on this machine's loopback; ValueError otherwise."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or plain) or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("an address of the issuer must be https (http on loopback alone)")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
