"""A client's web server that hears of logouts: real HTTP on loopback, and what it makes of a logout token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet
from plugins.app import World


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    method: str
    path: str
    content_type: str
    body: str

    @property
    def token(self) -> str:
        """The logout token, which is all that the form holds."""
        fields = parse_qs(self.body, strict_parsing=True)
        assert set(fields) == {"logout_token"}
        assert len(fields["logout_token"]) == 1
        return fields["logout_token"][0]


class Receiver:
    """Answers every POST with ``status``, every GET with ``page``; ``meanwhile`` runs before each answer.

    ``page_status`` and ``page_headers`` are of the page.
    """

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.page = b""
        self.page_status = 200
        self.page_headers: dict[str, str] = {}
        self.heard: list[Heard] = []
        self.meanwhile: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                kind = self.headers.get("Content-Type", "")
                receiver.heard.append(Heard("POST", self.path, kind, body))
                receiver.meanwhile()
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.heard.append(Heard("GET", self.path, "", ""))
                receiver.meanwhile()
                self.send_response(receiver.page_status)
                for name, value in receiver.page_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.page)))
                self.end_headers()
                self.wfile.write(receiver.page)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}/backchannel-logout?tenant=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def verified(world: World, token: str, alg: str = "ES256") -> dict[str, Any]:
    """The claims of a logout token, checked as its client checks them: by the published keys."""
    keys = KeySet.import_key_set(world.send("GET", "/jwks").json)
    decoded = jwt.decode(token, keys, algorithms=[alg])
    assert decoded.header["typ"] == "logout+jwt"
    return dict(decoded.claims)
