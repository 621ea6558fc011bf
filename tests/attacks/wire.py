"""Requests as bytes, and two ways to send them: into the WSGI app, or down a socket to a real server."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from http.client import HTTPResponse
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from werkzeug.test import run_wsgi_app

USUAL = "192.0.2.10"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Request:
    """One request, nothing normalised; ``address`` is the socket's peer, which only WSGI can choose."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    address: str = USUAL
    chunked: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer; header names are lower case, and of a repeated field the last value counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    request: Request = field(repr=False)
    set_cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def html(self) -> bool:
        """Whether it is a page; what a redirect says beside its Location is none."""
        kind = self.headers.get("content-type", "")
        return kind.startswith("text/html") and not 300 <= self.status < 400

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")


class Wire(Protocol):
    """Something that answers requests."""

    def send(self, request: Request) -> Reply: ...


class WSGIWire:
    """The app, called as a WSGI server calls it."""

    def __init__(self, app: Flask, issuer: str) -> None:
        self._app = app
        self._host = urlsplit(issuer).netloc

    def send(self, request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": request.address,
            "HTTP_HOST": self._host,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            self._header(environ, name, value)
        if request.chunked:
            # how a server says that the body ends by itself, without a length
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        elif request.body and "CONTENT_LENGTH" not in environ:
            environ["CONTENT_LENGTH"] = str(len(request.body))
        parts, status, headers = run_wsgi_app(self._app.wsgi_app, environ)
        return _reply(int(status.split()[0]), list(headers), b"".join(parts), request)

    @staticmethod
    def _header(environ: dict[str, Any], name: str, value: str) -> None:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        if key in environ and key != "HTTP_HOST":
            # as granian gives a repeated field
            value = f"{environ[key]},{value}"
        environ[key] = value


class LiveWire:
    """A server process: every request on a connection of its own."""

    def __init__(self, port: int, host: str, timeout: float = 10) -> None:
        self._port = port
        self._host = host
        self._timeout = timeout

    def send(self, request: Request) -> Reply:
        head = [f"{request.method} {request.target} HTTP/1.1"]
        given = {name.lower() for name, _ in request.headers}
        if "host" not in given:
            head.append(f"Host: {self._host}")
        head += [f"{name}: {value}" for name, value in request.headers]
        body: bytes = request.body
        if request.chunked:
            head.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif body and "content-length" not in given:
            head.append(f"Content-Length: {len(body)}")
        text = "\r\n".join([*head, "Connection: close", "", ""]).encode("latin-1")
        return self.raw([text, body], request)

    def raw(self, parts: Iterable[bytes], request: Request) -> Reply:
        """``parts`` go out until the server cuts the connection; whatever it answered is read."""
        with socket.create_connection((LOOPBACK, self._port), timeout=self._timeout) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it answered before it had read everything
            response = HTTPResponse(connection, method=request.method)
            response.begin()
            try:
                body = response.read()
            except ConnectionResetError:
                body = b""
            return _reply(response.status, response.getheaders(), body, replace(request, address=LOOPBACK))


def _reply(status: int, lines: list[tuple[str, str]], body: bytes, request: Request) -> Reply:
    cookies = tuple(value for name, value in lines if name.lower() == "set-cookie")
    return Reply(status, {name.lower(): value for name, value in lines}, body, request, cookies)
