"""Bodies: complete or refused, and never a thread for each stranger who sends none."""

from __future__ import annotations

import socket
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import RunningServer

from authserver.bodies import Places, guard
from authserver.errors import RequestRejected


def environ(body: bytes, **values: str) -> dict[str, Any]:
    return {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body)), **values}


@pytest.mark.parametrize("way", ["read", "readline", "readlines", "iterate"])
def test_a_whole_body_is_read_in_any_way(way: str) -> None:
    request = environ(b"a=1&b=2")
    guard(request, Places(8), "192.0.2.1")
    stream = request["wsgi.input"]
    got = list(stream) if way == "iterate" else getattr(stream, way)()
    assert (got if isinstance(got, bytes) else b"".join(got)) == b"a=1&b=2"
    assert stream.read() == b""


def test_a_body_that_ends_early_is_refused() -> None:
    request = environ(b"grant_type=client_credentials", CONTENT_LENGTH="300")
    guard(request, Places(8), "192.0.2.1")
    with pytest.raises(RequestRejected) as caught:
        b"".join(request["wsgi.input"])
    assert (caught.value.status, caught.value.reason) == (400, "body_cut")


@pytest.mark.parametrize(
    "values",
    [
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "1e3"},
        {"CONTENT_LENGTH": "9" * 20},
    ],
)
def test_a_body_without_a_plain_length_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(RequestRejected) as caught:
        guard(environ(b"", **values), Places(8), "192.0.2.1")
    assert caught.value.reason in ("no_length", "too_large")


def test_one_address_holds_a_half_and_all_together_leave_two() -> None:
    places = Places(8)
    held = [places.taken(address) for address in ("a", "a", "a", "a", "b", "b")]
    for place in held[:4]:
        place.__enter__()
    with pytest.raises(RequestRejected), places.taken("a"):
        pass
    for place in held[4:]:
        place.__enter__()
    with pytest.raises(RequestRejected) as caught, places.taken("d"):
        pass
    assert (caught.value.status, dict(caught.value.headers)) == (429, {"Retry-After": "1"})
    for place in held:
        place.__exit__(None, None, None)
    with places.taken("a"):
        assert places._held == {"a": 1}
    assert places._held == {}


def test_forty_unfinished_requests_stop_nobody(tmp_path: Path) -> None:
    """Against the real server: each connection sends one byte of a hundred and waits."""
    server = RunningServer(tmp_path)
    server.command("db", "upgrade")
    with server:
        head = f"POST /token HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: 100\r\n\r\ng"
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        try:
            for connection in sockets:
                connection.sendall(head.encode())
            for path in ("/jwks", "/readyz", "/jwks"):
                assert httpx.get(server.address + path, timeout=5).status_code == 200
        finally:
            for connection in sockets:
                connection.close()
