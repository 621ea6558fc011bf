"""Requests of this server to addresses that clients name: guarded, so that no client makes us knock inside.

A name is resolved once, every address it has is judged, and the connection goes to a judged address: an
answer that changes between the look and the call (DNS rebinding) changes nothing. No redirects, no proxies
of the environment, bounded in time and size (design §9).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpcore

from . import metrics
from .config import Settings
from .errors import Unavailable

log = logging.getLogger(__name__)

SECONDS = 3.0
MAX_BYTES = 65_536
# of each process: an address that hangs must not hold every thread
AT_ONCE = 4
MAX_URL = 2048

_BROKEN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)
# what IANA gives out as global unicast addresses, and what RFC 9637 takes from them
UNICAST, DOCUMENTATION = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("3fff::/20")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """A URL that this server does not call; ``reason`` is one of the audit log's words for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Failed(Exception):
    """The other side did not answer as it must, in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the whole body, and its media type in lower case, without parameters."""

    status: int
    body: bytes = field(repr=False)
    media_type: str = ""


class Outgoing:
    """The one client for URLs from outside. Blocks its thread for at most ``SECONDS``.

    Each instance has ``places`` of its own for calls and for names that are looked up.
    """

    def __init__(self, settings: Settings, places: int = AT_ONCE) -> None:
        self._allowed = settings.outgoing_networks
        self._plain = settings.profile == "dev"
        self._ca = settings.outgoing_ca
        self._places = threading.BoundedSemaphore(places)
        # a resolver that hangs holds a thread of these, not one that serves
        self._resolvers = ThreadPoolExecutor(places, "resolver")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # reading all the certificates of the system takes a while, and most processes never call anybody
        return ssl.create_default_context(cafile=self._ca or None)

    def check(self, url: str) -> None:
        """``url`` is one that could be called, by its look alone; Refused otherwise. Asks nobody."""
        self._split(url)

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET. Refused, Failed, or Unavailable when too many are under way."""
        return self._send("GET", url, headers, b"")

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST. Refused, Failed, or Unavailable when too many are under way."""
        return self._send("POST", url, headers, body)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if not self._places.acquire(blocking=False):
            raise Unavailable("outgoing", retry_after=2)
        try:
            answer = self._exchange(method, url, headers, body)
        except Exception as error:
            metrics.outgoing_failed.inc()
            # which client's address it is, is in the audit log
            log.warning("a call to a client's address failed: %s", error)
            raise
        finally:
            self._places.release()
        return answer

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        scheme, _, _, _ = self._split(url)
        backend = _Backend(lambda host, port, left: self._resolve(scheme, host, port, left), SECONDS)
        sent = {"Host": urlsplit(url).netloc, "Accept-Encoding": "identity", **headers}
        if method == "POST":
            sent["Content-Length"] = str(len(body))
        received = bytearray()
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
                pool.stream(method, url, headers=list(sent.items()), content=body) as response,
            ):
                told = {name.lower(): value.lower() for name, value in response.headers}
                packed = told.get(b"content-encoding", b"identity") != b"identity"
                # raw bytes: a compressed answer is small on the wire and endless in memory
                for chunk in response.iter_stream():
                    received += chunk
                    if packed or len(received) > MAX_BYTES:
                        raise Failed("packed or too large")
                kind = told.get(b"content-type", b"").partition(b";")[0].strip()
                return Answer(response.status, bytes(received), kind.decode("latin-1"))
        except (*_BROKEN, OSError, ValueError) as error:
            raise Failed(type(error).__name__) from error

    def _split(self, url: str) -> tuple[str, str, int, str]:
        """Scheme, host, port, and path with query of ``url``; Refused for what is no plain address."""
        if len(url) > MAX_URL or any(not 0x21 <= ord(character) <= 0x7E for character in url):
            raise Refused("uri")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise Refused("uri") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and self._plain):
            raise Refused("uri_scheme")
        if not host or parts.username is not None or parts.password is not None or "#" in url or "\\" in url:
            raise Refused("uri")
        if (literal := _literal(host)) is not None and not self._may_reach(literal, parts.scheme):
            raise Refused("uri_blocked")
        rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], rest

    def _resolve(self, scheme: str, host: str, port: int, left: float) -> str:
        """One address of ``host``, all of whose addresses may be reached."""
        looking = self._resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = looking.result(left)
        except (OSError, UnicodeError, FutureTimeout) as error:
            raise Failed("name") from error
        addresses = [str(entry[4][0]) for entry in found]
        judged = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
        # one inner address among them is enough: who answers so is not asked
        if not judged or not all(self._may_reach(address, scheme) for address in judged):
            raise Refused("uri_blocked")
        return addresses[0]

    def _may_reach(self, address: Address, scheme: str) -> bool:
        inner = _unwrapped(address)
        if any(inner.version == network.version and inner in network for network in self._allowed):
            return True
        if scheme != "https" or not inner.is_global or inner.is_multicast or inner.is_reserved:
            return False
        return isinstance(inner, ipaddress.IPv4Address) or (inner in UNICAST and inner not in DOCUMENTATION)


class _Backend(httpcore.NetworkBackend):
    """Connects to the judged address of a name, for ``seconds`` in all."""

    def __init__(self, resolve: Callable[[str, int, float], str], seconds: float) -> None:
        self._resolve = resolve
        self._ends_at = time.monotonic() + seconds
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._resolve(host, port, _left(self._ends_at))
        return _Stream(self._real.connect_tcp(address, port, timeout=_left(self._ends_at)), self._ends_at)


class _Stream(httpcore.NetworkStream):
    """A connection that ends in time, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._ends_at))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._ends_at))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout=_left(self._ends_at))
        return _Stream(secured, self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left


def _unwrapped(
    address: Address,
) -> Address:
    """The IPv4 address inside an IPv6 one that carries it: mapped, 6to4, NAT64 or Teredo."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _literal(host: str) -> Address | None:
    """The address that ``host`` spells, in any way that a resolver would read it: also 0177.1, 2130706433."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
