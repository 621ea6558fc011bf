"""A client whose keys are at an address of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from assertions import Signer, form, register

from authserver.oauth import client_keys

from ..runner import Run

PUBLISHER = "web_published"


def client_changes_its_keys(run: Run) -> None:
    """A new key counts at its first use, a removed one no longer than the cache; either is on record."""
    old, new = Signer(kid="old"), Signer(kid="new")
    with _publisher() as publisher:
        publisher.show(old)
        register(run.world, PUBLISHER, jwks_uri=publisher.uri, scopes=["reports"])
        _ask(
            run, old, {"status": 200, "issued": 1, "rows": {"replay": 1}, "audit": ["client.keys.refreshed"]}
        )
        run.clock.walk(client_keys.LOOK_AGAIN_SECONDS)
        publisher.show(new)
        asked = publisher.asked
        _ask(
            run, new, {"status": 200, "issued": 1, "rows": {"replay": 1}, "audit": ["client.keys.refreshed"]}
        )
        assert publisher.asked == asked + 1
        refused = {"status": 401, "error": "invalid_client", "audit": ["client.auth.failed/kid"]}
        _ask(run, old, refused)
        # what removes a key without bringing a new one is seen when the cache has aged
        publisher.show(old)
        run.clock.walk(client_keys.FRESH_SECONDS + 1)
        _ask(run, new, refused)
        assert [row["detail"]["kids"] for row in run.world.events("client.keys.refreshed")] == [
            ["old"], ["new"], ["old"],
        ]  # fmt: skip


def _ask(run: Run, signer: Signer, expect: dict[str, Any]) -> None:
    assertion = signer.assertion(run.world, PUBLISHER)
    run.secrets.add(assertion)
    run.send(expect, send="POST /token", form=form(assertion, scope="reports"))


class _Publisher:
    """Gives a JWK Set at every path, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0
        self._body = b"{}"
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(publisher._body)))
                self.end_headers()
                self.wfile.write(publisher._body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}/jwks"

    def show(self, *signers: Signer) -> None:
        self._body = json.dumps({"keys": [signer.public() for signer in signers]}).encode()


@contextmanager
def _publisher() -> Iterator[_Publisher]:
    made = _Publisher()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()
