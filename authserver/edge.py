"""The WSGI layer ahead of Flask: what a server leaves to the app, and the documents that are just bytes.

It drops the process's environment from ``environ``, decides the client's address from one source,
bounds URL and headers, and answers JWKS and discovery without Flask, even when the database is away.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import context, crypto, logs, metrics
from .audit import Entry, Event
from .bodies import Places, guard
from .documents import Documents
from .endpoints import Endpoints
from .errors import Headers, RequestRejected, Unavailable
from .ip_allowlist import parse_address
from .logs import FIELDS
from .texts import Text
from .web import plain
from .web.guards import OVERLONG

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask

    from .services import Services

log = logging.getLogger("authserver.access")

# Every header by which a proxy might name a client; only the configured one, from a trusted peer, counts.
FORWARDING = (
    "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_SERVER", "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP", "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_X_ORIGINAL_URI", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL", "HTTP_X_HTTP_METHOD_OVERRIDE",
    "HTTP_X_CLIENT_CERT", "HTTP_X_CLIENT_VERIFY", "HTTP_PROXY",
)  # fmt: skip
HEALTH = ("/healthz", "/readyz", "/metrics")
# an authorization request that the core never sees has its own event all the same
TOO_LARGE = "request_too_large"
NAMED = (
    "token", "introspect", "revoke", "userinfo", "revocations", "jwks", "authorize", "register",
    "end_session",
)  # fmt: skip
# somebody came by another name of this machine: a browser is shown the way
HOST = "host"
# people are sent there with an ID token in the URL: when it is too long, they get a page
PAGE = "/end_session"
ENDPOINTS = {f"/{name}": name for name in NAMED}


class Edge:
    """Wraps the WSGI app of Flask."""

    def __init__(self, app: Flask, services: Services) -> None:
        settings = services.settings
        self._app: WSGIApplication = app.wsgi_app
        self._endpoints = Endpoints(app, services)
        self._services = services
        self._documents = Documents(services)
        self._places = Places(settings.threads)
        # names that no request can set go unseen; those that one could are compared by value
        self._process = {name: value for name, value in os.environ.items() if _settable(name)}
        self._foreign = tuple(name for name in os.environ if not _settable(name))
        self._url_limit = settings.url_limit
        self._header_limit = settings.header_limit
        self._host = settings.issuer.partition("://")[2].lower()
        self._issuer = settings.issuer
        self._unix_trusted = "unix" in settings.trusted_peers
        self._peers = [ipaddress.ip_network(p) for p in settings.trusted_peers if p != "unix"]
        header = settings.client_address_header.upper().replace("-", "_")
        self._address_header = f"HTTP_{header}" if header else ""
        self._plain = not self._peers and not self._unix_trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        path = environ.get("PATH_INFO", "")
        for name in self._foreign:
            environ.pop(name, None)
        for name, value in self._process.items():
            if environ.get(name) is value or environ.get(name) == value:
                environ.pop(name, None)
        address = self._client_address(environ)
        caller = context.Caller(
            request_id=crypto.identifier(),
            address=address,
            user_agent=environ.get("HTTP_USER_AGENT", "")[:256],
            resource=f"{environ.get('REQUEST_METHOD', '')} {path}"[:400],
        )
        token, lines = context.current.set(caller), logs.hold()
        status = 500

        def start(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            status = int(line[:3])
            headers.append(("X-Request-Id", caller.request_id))
            return start_response(line, headers, exc_info) if exc_info else start_response(line, headers)

        try:
            self._judge(environ, path)
            answer = self._documents.answer(environ, path, start)
            if answer is not None:
                return answer
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                guard(environ, self._places, address)
            served = self._endpoints.answer(environ, path, start)
            return self._app(environ, start) if served is None else served
        except RequestRejected as rejection:
            return self._reject(rejection, environ, start)
        except Unavailable as error:
            return self._unavailable(error, start)
        finally:
            endpoint = ENDPOINTS.get(path, "other")
            elapsed = time.perf_counter() - began
            _count(endpoint, status, elapsed)
            if log.isEnabledFor(logging.INFO):
                fields = {
                    "request": caller.resource,
                    "status": status,
                    "ms": round(elapsed * 1000, 2),
                    "client_ip": address,
                }
                log.info("answered", extra={FIELDS: fields})
            context.current.reset(token)
            logs.release(lines)

    def warm(self) -> None:
        """What is answered without the database is held in memory, unless that is away already."""
        try:
            self._documents.warm()
            self._services.server.origins.warm()
        except Unavailable as error:
            log.warning("started without JWKS and metadata: %s", error)

    def _judge(self, environ: WSGIEnvironment, path: str) -> None:
        """RequestRejected for a request that is too large in its head, or meant for another host."""
        query = environ.get("QUERY_STRING", "")
        if len(path) + len(query) > self._url_limit:
            if path != PAGE:
                reason = TOO_LARGE if path == "/authorize" else "too_large"
                raise RequestRejected(414, reason, "The URL is too long.")
            environ |= {"QUERY_STRING": "", OVERLONG: True}
        size = 0
        for name, value in environ.items():
            if name.startswith("HTTP_"):
                size += len(name) + len(value)
        if size > self._header_limit:
            raise RequestRejected(431, "too_large", "The header fields are too large.")
        if not environ["REQUEST_METHOD"].isupper():
            # RFC 9110 §9.1: a method is case-sensitive; the framework would read post as POST
            raise RequestRejected(405, "method", "This method is not supported here.")
        if path.startswith("//") or "__debugger__" in query:
            # the framework reads //token as /token; a proxy's rule about /token does not. Nor does anything
            # here answer to the questions of the framework's debugger.
            raise RequestRejected(404, "not_found", "There is nothing at this address.")
        if environ.get("HTTP_HOST", "").lower() != self._host and path not in HEALTH:
            text = Text("This server answers as %(issuer)s.", issuer=self._issuer)
            raise RequestRejected(400, HOST, text)

    def _client_address(self, environ: WSGIEnvironment) -> str:
        """The socket's peer, or what one header says when a trusted peer sent it; empty when unknown."""
        peer = environ.get("REMOTE_ADDR") or ""
        header = environ.get(self._address_header) if self._address_header else None
        for name in FORWARDING:
            environ.pop(name, None)
        if self._plain or not self._trusted(peer):
            address = _canonical(peer)
        elif header is None:
            # a trusted proxy that names nobody: its own address must not pass for a client's
            address = _canonical(peer) if not self._address_header else ""
        else:
            address = self._rightmost(header)
        environ["REMOTE_ADDR"] = address
        return address

    def _rightmost(self, header: str) -> str:
        """The last hop that no trusted peer added; empty as soon as one cannot be read."""
        for item in reversed(header.split(",")):
            address = _canonical(item.strip())
            if not address or not self._trusted(address):
                return address
        return ""

    def _trusted(self, peer: str) -> bool:
        if not peer:
            return self._unix_trusted
        address = parse_address(peer)
        return address is not None and any(
            address in network for network in self._peers if network.version == address.version
        )

    def _reject(self, rejection: RequestRejected, environ: WSGIEnvironment, start: Any) -> list[bytes]:
        event = Event.AUTHZ_REJECTED if rejection.reason == TOO_LARGE else Event.HTTP_REJECTED
        entry = Entry(event, "denied", rejection.reason)
        try:
            if self._services.throttle.noticed(context.current.get().address):
                self._services.audit.record(entry)
        except Unavailable:
            self._services.audit.record_late(entry)
        body = {"error": "invalid_request", "error_description": rejection.description}
        path, origin = environ.get("PATH_INFO", ""), environ.get("HTTP_ORIGIN", "")
        readable = self._services.server.origins.of_error(path, origin, rejection.status)
        headers = [*rejection.headers, *readable]
        if rejection.reason == HOST and "text/html" in environ.get("HTTP_ACCEPT", ""):
            accepted = environ.get("HTTP_ACCEPT_LANGUAGE", "")
            offered = self._services.settings.languages
            page, own = plain.plain_page(rejection.description, self._issuer, accepted, offered)
            return _send(start, rejection.status, page, [*own, *headers])
        return _answer(start, rejection.status, body, headers)

    def _unavailable(self, error: Unavailable, start: Any) -> list[bytes]:
        """A document that this process never held, while the database is away."""
        metrics.dependency_failures.labels(error.dependency).inc()
        self._services.audit.record_late(Entry(Event.DEPENDENCY_FAILED, "failed", error.dependency))
        body = {
            "error": "temporarily_unavailable",
            "error_description": "The server cannot answer now. Try again shortly.",
        }
        return _answer(start, 503, body, [("Retry-After", str(error.retry_after))])


def _answer(start: Any, status: int, body: dict[str, str], headers: Headers) -> list[bytes]:
    return _send(start, status, json.dumps(body).encode(), [("Content-Type", "application/json"), *headers])


def _send(start: Any, status: int, body: bytes, headers: Headers) -> list[bytes]:
    fixed = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    start(f"{status} {_PHRASES.get(status, 'Error')}", [*fixed, *headers])
    return [body]


_PHRASES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_requests: dict[tuple[str, int], Any] = {}
_seconds: dict[str, Any] = {}


def _count(endpoint: str, status: int, elapsed: float) -> None:
    counter = _requests.get((endpoint, status))
    if counter is None:
        counter = _requests[(endpoint, status)] = metrics.requests.labels(endpoint, str(status))
    counter.inc()
    histogram = _seconds.get(endpoint)
    if histogram is None:
        histogram = _seconds[endpoint] = metrics.seconds.labels(endpoint)
    histogram.observe(elapsed)


def _settable(name: str) -> bool:
    """Whether a server may put ``name`` into environ for a request (RFC 3875 §4.1, PEP 3333)."""
    cgi = ("CONTENT_", "GATEWAY_", "HTTP_", "PATH_", "QUERY_", "REMOTE_", "REQUEST_", "SCRIPT_", "SERVER_")
    return name in ("AUTH_TYPE", "HTTPS") or "." in name or name.startswith(cgi)


def _canonical(text: str) -> str:
    """The one spelling of an address (IPv4-mapped IPv6 unmapped); empty if it is none."""
    if text in ("127.0.0.1", "::1"):
        return text
    address = parse_address(text)
    return "" if address is None else str(address)
