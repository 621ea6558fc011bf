"""What a TLS door must refuse: old protocols, weak ciphers, other names, and whatever comes in the clear."""

from __future__ import annotations

import socket
import ssl
import warnings
from pathlib import Path

import httpx

# without forward secrecy, without authenticated encryption, or without either
WEAK = (
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-CCM8", "AES128-GCM-SHA256", "AES128-SHA", "aNULL", "eNULL",
)  # fmt: skip
PROTOCOL = ("/token", "/introspect", "/userinfo", "/jwks", "/authorize", "/register", "/nowhere")
TYPED = ("/", "/login", "/account")


def only_the_newest(port: int, ca: Path) -> None:
    """A client that would do everything gets a handshake by TLS 1.2 or 1.3 and BCP 195's ciphers alone."""
    versions = ssl.TLSVersion
    for old in (versions.TLSv1, versions.TLSv1_1):
        assert _shaken(port, ca, (old, old)) == ""
    for weak in WEAK:
        assert _shaken(port, ca, (versions.TLSv1_2, versions.TLSv1_2), weak) == "", weak
    usual = (versions.TLSv1_2, versions.TLSv1_3)
    assert _shaken(port, ca, (usual[0], usual[0])).startswith("TLSv1.2 ECDHE-ECDSA-AES")
    assert _shaken(port, ca, usual).startswith("TLSv1.3 ")
    assert _shaken(port, ca, usual, name="other.example") == ""


def nothing_in_the_clear(https: int, http: int) -> None:
    """Programs fail over http, and are not sent on; a person who typed a name is, without the query."""
    with httpx.Client(base_url=f"http://localhost:{http}") as plain:
        for path in PROTOCOL:
            for method in ("GET", "POST", "DELETE"):
                answer = plain.request(method, path, headers={"Authorization": "Basic eDp5"})
                assert (answer.status_code, "Location" in answer.headers) == (403, False), (method, path)
                assert answer.json()["error_description"] == "This server is reached by https alone."
        for path in TYPED:
            assert plain.post(path, data={"password": "x"}).status_code == 403
            sent_on = plain.get(path, params={"token": "secret"})
            assert sent_on.status_code == 301
            assert sent_on.headers["Location"] == f"https://localhost:{https}{path}"
        page = plain.get("/nowhere", headers={"Accept": "text/html"})
        assert "https alone" in page.text
        assert "Strict-Transport-Security" not in page.headers
    answer = httpx.post(f"http://localhost:{https}/token", data={"client_secret": "x"})
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert answer.json()["error"] == "invalid_request"


def _shaken(
    port: int,
    ca: Path,
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion],
    ciphers: str = "ALL",
    name: str = "localhost",
) -> str:
    """Version and cipher of a handshake; empty when there was none."""
    context = ssl.create_default_context(cafile=str(ca))
    with warnings.catch_warnings():
        # Python warns whoever lowers its floor
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = versions
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as wire:
                assert wire.selected_alpn_protocol() == "http/1.1"
                return f"{wire.version()} {wire.cipher()[0]}"  # type: ignore[index]
        except (ssl.SSLError, ConnectionError):
            return ""
