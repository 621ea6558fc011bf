"""The rehearsed deployment as clients see it: over TLS, from any address, by a browser or as bytes."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from plugins.app import World, basic, populate
from plugins.people import PASSWORD, add_user, hidden_fields

from authserver import crypto
from authserver.app import create_app
from authserver.config import Settings
from authserver.oauth import pkce
from deploy.rehearsal import SERVING, Rehearsal

CALLBACK = "https://client.example/cb"
AFTER = "https://client.example/bye"
# a client's address: all of 127/8 is this machine
HERE = "127.0.0.9"


@dataclass
class Deployed:
    """A running rehearsal, and the same database in this process."""

    rehearsal: Rehearsal
    world: World = field(init=False)
    tls: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        settings = self.rehearsal.settings | {
            "issuer": self.rehearsal.issuer,
            "instance_dir": str(self.rehearsal.directory),
            "database_url": self.rehearsal.database_url(SERVING),
        }
        settings["trusted_peers"] = (settings["trusted_peers"],)  # type: ignore[assignment]
        self.world = populate(create_app(Settings.load({}, **settings)))
        _, secret = self.world.services.clients.create(
            {
                "client_id": "shop",
                "client_name": "Corner shop",
                "state": "active",
                "token_endpoint_auth_method": "client_secret_basic",
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [CALLBACK],
                "post_logout_redirect_uris": [AFTER],
                "scopes": ["openid", "profile", "offline_access", "accounts:read", "payments:initiate"],
                "authorization_details_types": ["payment_initiation"],
                "profile": "oauth21",
                "tier": "gold",
            }
        )
        self.world.secrets["shop"] = str(secret)
        add_user(self.world.services, "alice")
        self.tls = ssl.create_default_context(cafile=str(self.rehearsal.ca))

    def client(self, address: str = HERE) -> httpx.Client:
        """Verifies the certificate; its connections come from ``address``."""
        transport = httpx.HTTPTransport(verify=self.tls, local_address=address)
        return httpx.Client(base_url=self.rehearsal.issuer, transport=transport, timeout=30)

    def token(self, client: httpx.Client, as_: str = "svc1", **headers: str) -> httpx.Response:
        """The client credentials grant."""
        form = {"grant_type": "client_credentials", "scope": "reports"}
        auth = {"Authorization": basic(as_, self.world.secrets[as_])}
        return client.post("/token", data=form, headers=auth | headers)

    def event_of(self, response: httpx.Response) -> dict[str, Any]:
        """The last audit row of the request that ``response`` answers."""
        id_ = response.headers["X-Request-Id"]
        return [row for row in self.world.events() if row["request_id"] == id_][-1]

    def raw(self, data: bytes) -> list[Answer]:
        """The answers to ``data``, sent as it is, until the server ends the connection or is silent."""
        with (
            socket.create_connection(("127.0.0.1", self.rehearsal.port), timeout=5) as plain,
            self.tls.wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            wire.sendall(data)
            return answers(everything(wire))


@dataclass(frozen=True)
class Answer:
    """Status, header block and body."""

    status: int
    head: str
    body: bytes


def everything(wire: socket.socket, silence: float = 0.5) -> bytes:
    """What comes until the other side closes or says nothing for ``silence`` seconds."""
    wire.settimeout(silence)
    data = b""
    with suppress(OSError):
        while part := wire.recv(65536):
            data += part
    return data


def answers(data: bytes) -> list[Answer]:
    """The answers in ``data``; each says its length."""
    found = []
    while data:
        head, end, rest = data.decode("latin-1").partition("\r\n\r\n")
        assert end, data
        length = re.search(r"(?im)^content-length: (\d+)", head)
        body = rest[: int(length[1]) if length else 0].encode("latin-1")
        found.append(Answer(int(head.split(" ", 2)[1]), head, body))
        data = rest[len(body) :].encode("latin-1")
    return found


@dataclass
class Surfer:
    """A person's browser at the deployment; ``seen`` has every answer."""

    http: httpx.Client
    seen: list[httpx.Response] = field(default_factory=list)

    def get(self, path: str, **query: str) -> httpx.Response:
        """The answer at the end of all redirects within the issuer."""
        return self._follow(self.http.get(path, params=query))

    def submit(self, page: httpx.Response, action: str, **values: str) -> httpx.Response:
        """The form of ``page`` for ``action`` with its hidden fields and ``values``."""
        return self._follow(self.http.post(action, data=hidden_fields(page.text, action) | values))

    def code(self, **changes: str) -> tuple[dict[str, str], str]:
        """What the client gets once the person signed in and agreed, and the PKCE verifier."""
        verifier = crypto.random_token()
        asked = {
            "response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "state": "s1",
            "scope": "openid profile offline_access accounts:read", "nonce": "n1",
            "code_challenge": pkce.s256(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        page = self.get("/authorize", **(asked | changes))
        if "/login" in re.findall(r'action="([^"]+)"', page.text):
            page = self.submit(page, "/login", username="alice", password=PASSWORD)
        if page.status_code == 200:
            page = self.submit(page, "/consent", decision="approve")
        location = page.headers["Location"]
        assert location.startswith(f"{CALLBACK}?"), location
        return dict(parse_qsl(urlsplit(location).query)), verifier

    def _follow(self, response: httpx.Response) -> httpx.Response:
        self.seen.append(response)
        while response.status_code == 303:
            target = response.headers["Location"]
            if urlsplit(target).netloc not in ("", urlsplit(str(self.http.base_url)).netloc):
                break
            response = self.http.get(target)
            self.seen.append(response)
        return response


def request(lines: list[str], body: bytes = b"", method: str = "POST", target: str = "/token") -> bytes:
    """A request's bytes with these header lines and no others."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body
