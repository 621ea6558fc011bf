"""Calls to addresses that clients name: nowhere inside, not for long, not for much."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from plugins.app import make_settings

from authserver import outgoing
from authserver.errors import Unavailable
from authserver.outgoing import Failed, Outgoing, Refused

PUBLIC = "93.184.216.34"


def guard(tmp_path: Path, **values: Any) -> Outgoing:
    return Outgoing(make_settings(tmp_path, "sqlite://", **values))


@pytest.fixture
def strict(tmp_path: Path) -> Outgoing:
    """As in production: no inner network is allowed."""
    return guard(tmp_path, outgoing_allow=())


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and the addresses that they have; no resolver is asked."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host.replace(".", "").isdigit():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        if host not in known:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "192.0.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
        "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::",
        "fec0::1", "3fff::1", "5f00::1", "2002:a9fe:a9fe::", "2001:0:1:1:1:1:80ff:fffe",
    ],
)  # fmt: skip
def test_no_name_leads_inside(strict: Outgoing, names: dict[str, list[str]], address: str) -> None:
    names["rp.example"] = [address]
    with pytest.raises(Refused, match="uri_blocked"):
        strict.get("https://rp.example/jwks", {})
    names["rp.example"] = [PUBLIC, address]
    with pytest.raises(Refused, match="uri_blocked"):
        strict.get("https://rp.example/jwks", {})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "127.000.000.001", "0",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "[fe80::1%25eth0]",
        "10.0.0.1:8443",
    ],
)  # fmt: skip
def test_an_address_in_any_spelling_is_seen_by_its_look(strict: Outgoing, host: str) -> None:
    with pytest.raises(Refused):
        strict.check(f"https://{host}/jwks")
    with pytest.raises(Refused):
        strict.get(f"https://{host}/jwks", {})


@pytest.mark.parametrize(
    "url",
    [
        "http://rp.example/x", "file:///etc/passwd", "gopher://rp.example/", "ftp://rp.example/",
        "//rp.example/",
        "javascript:alert(1)", "\tjavascript:alert(1)", "data:text/html,x", "https:", "https://", "https:///x",
        "https://user@rp.example/", "https://user:pw@rp.example/", "https://rp.example/#f", "https://rp.example/#",
        "https://rp.example\\@evil.example/", "https://rp.example/\r\nX: y", "https://rp.example:99999/",
        "https://rp.example:x/", "https://[::1/", "https://rp.example/\u0430",
        "https://r\u0440.example/", "x", "",
        "https://rp.example/" + "a" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_plain_https_address_is_refused(tmp_path: Path, url: str) -> None:
    production = guard(
        tmp_path,
        profile="production",
        issuer="https://auth.example",
        argon2_memory_kib=19456,
        argon2_time_cost=2,
        outgoing_allow=("127.0.0.0/8",),
    )
    with pytest.raises(Refused):
        production.check(url)
    with pytest.raises(Refused):
        production.get(url, {})


def test_an_ordinary_address_is_fine_by_its_look(strict: Outgoing) -> None:
    for url in ("https://rp.example/jwks", "https://rp.example:8443/a?b=c", f"https://{PUBLIC}/jwks"):
        strict.check(url)


def test_a_name_without_an_address_fails(strict: Outgoing, names: dict[str, list[str]]) -> None:
    with pytest.raises(Failed):
        strict.get("https://gone.example/jwks", {})


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves each connection by a function, on a loopback port; gives its http address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Callable[[socket.socket], None], *, peek: bool = False) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(65536, socket.MSG_PEEK if peek else 0)
                    with suppress(OSError):
                        answer(connection)

        threads.append(threading.Thread(target=loop, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


def head(length: int, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def test_an_answer_is_read_whole(tmp_path: Path, serve: Serve) -> None:
    address = serve(lambda c: c.sendall(head(2) + b"{}"))
    answer = guard(tmp_path).get(address, {"Accept": "application/json"})
    assert (answer.status, answer.body) == (200, b"{}")
    assert guard(tmp_path).post(address, {}, b"logout_token=x").status == 200


def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path, serve: Serve) -> None:
    asked: list[str] = []
    other = serve(lambda c: asked.append("other"))
    address = serve(lambda c: c.sendall(head(0, "302 Found", f"Location: {other}\r\n")))
    assert guard(tmp_path).get(address, {}).status == 302
    assert asked == []


def test_what_is_too_large_or_packed_is_not_taken(tmp_path: Path, serve: Serve) -> None:
    large = serve(lambda c: c.sendall(head(70_000) + b"x" * 70_000))
    packed = serve(lambda c: c.sendall(head(2, more="Content-Encoding: gzip\r\n") + b"{}"))
    cut = serve(lambda c: c.sendall(head(10) + b"{}"))
    junk = serve(lambda c: c.sendall(b"junk\r\n\r\n"))
    for address in (large, packed, cut, junk):
        with pytest.raises(Failed):
            guard(tmp_path).get(address, {})


def test_one_that_drips_or_hangs_is_left(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SECONDS", 0.3)
    ends = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(head(1000))
        while not ends.wait(0.05):
            connection.sendall(b"x")

    def drip_headers(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not ends.wait(0.05):
            connection.sendall(b"X: y\r\n")

    addresses = serve(drip), serve(drip_headers), serve(lambda _: ends.wait(10) and None)
    for address in addresses:
        with pytest.raises(Failed):
            guard(tmp_path).get(address, {})
    ends.set()


def test_a_few_at_once_and_no_more(tmp_path: Path, serve: Serve) -> None:
    arrived, go = threading.Semaphore(0), threading.Event()

    def answer(connection: socket.socket) -> None:
        arrived.release()
        go.wait(10)
        connection.sendall(head(0))

    caller = guard(tmp_path)
    threads = [threading.Thread(target=caller.get, args=(serve(answer), {})) for _ in range(outgoing.AT_ONCE)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        caller.get("http://127.0.0.1:1/", {})
    assert time.monotonic() - began < outgoing.SECONDS
    go.set()
    for thread in threads:
        thread.join()
    with pytest.raises(Failed):
        caller.get("http://127.0.0.1:1/", {})


def test_a_connection_goes_to_the_address_that_was_judged(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second look at a name would lead elsewhere; there is none."""
    address = serve(lambda c: c.sendall(head(0)))
    port = int(address.rsplit(":", 1)[1].rstrip("/"))
    looks: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        looks.append(name)
        if name == "rp.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return real(host, *arguments, **more)

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", resolve)
    assert guard(tmp_path).get(f"http://rp.example:{port}/", {}).status == 200
    assert looks.count("rp.example") == 1


def certify(directory: Path, name: str) -> Path:
    """A PEM file with a key and a certificate for ``name`` that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key.private_bytes(*private) + certificate.public_bytes(Encoding.PEM))
    return path


def test_the_certificate_is_that_of_the_name_though_the_address_is_called(
    tmp_path: Path, serve: Serve, names: dict[str, list[str]]
) -> None:
    pem = certify(tmp_path, "rp.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(head(2) + b"{}")

    port = int(serve(answer, peek=True).rsplit(":", 1)[1].rstrip("/"))
    names |= {"rp.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    caller = guard(tmp_path, outgoing_ca=pem)
    assert caller.get(f"https://rp.example:{port}/", {}).body == b"{}"
    for stranger, url in (
        (caller, f"https://other.example:{port}/"),
        (guard(tmp_path), f"https://rp.example:{port}/"),
    ):
        with pytest.raises(Failed):
            stranger.get(url, {})
