"""A small authorization server on loopback: real sockets, answers that the test sets."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from resource_server.signing import SigningKey, jwks

METADATA = "/.well-known/oauth-authorization-server"


@dataclass
class Reply:
    """One answer of the fake issuer; `wait` seconds pass before it, `drip` between its bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: float = 0.0


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FakeIssuer:
    """Serves metadata, JWKS, revocations and introspection; `replies[path]` overrides any of them."""

    def __init__(self) -> None:
        self.keys = [SigningKey("key-1")]
        self.replies: dict[str, Reply | Callable[[Seen], Reply]] = {}
        self.hits: Counter[str] = Counter()
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self._server = _server(self)
        self.port = self._server.server_address[1]
        self.identifier = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def key(self) -> SigningKey:
        return self.keys[0]

    def answer(self, seen: Seen) -> Reply:
        path = seen.path.partition("?")[0]
        self.hits[path] += 1
        self.seen.append(seen)
        reply = self.replies.get(path)
        if reply is None:
            return self._usual(path)
        return reply(seen) if callable(reply) else reply

    def _usual(self, path: str) -> Reply:
        if path == METADATA:
            return Reply(body=json.dumps(self.metadata()).encode())
        if path == "/jwks":
            return Reply(body=jwks(*self.keys), headers={"Cache-Control": "max-age=300", "ETag": '"k"'})
        return Reply(404)

    def metadata(self, **changes: Any) -> dict[str, Any]:
        return {
            "issuer": self.identifier,
            "jwks_uri": f"{self.identifier}/jwks",
            "revocations_uri": f"{self.identifier}/revocations",
            "introspection_endpoint": f"{self.identifier}/introspect",
            **changes,
        }

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server(issuer: FakeIssuer) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = issuer.answer(Seen(self.command, self.path, headers, self.rfile.read(length)))
            issuer.stopping.wait(reply.wait)
            try:
                self._send(reply)
            except OSError:
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if not reply.drip:
                self.wfile.write(reply.body)
                return
            for byte in reply.body:
                if issuer.stopping.wait(reply.drip):
                    return
                self.wfile.write(bytes([byte]))

        def log_message(self, *_args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: Any) -> None:
            """A client that gives up is what some tests are about."""

    return Server(("127.0.0.1", 0), Handler)
