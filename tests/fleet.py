"""Several workers behind one port, each asked by itself, and load that remembers every answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from plugins.app import MASTER, WIDE_LIMITS, World, basic, make_settings, populate
from running import ForkingServer, RunningServer

from authserver import crypto
from authserver.app import create_app, services_of
from authserver.audit.chain import CHECKPOINT_TYP
from authserver.audit.verify import Verdict, verify
from authserver.cli.db import prepare


@dataclass(frozen=True)
class Reply:
    """One answer: when it was asked for and given (Unix seconds), and what it was."""

    began: float
    ended: float
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the token in it."""
        return dict(json.loads(crypto.b64u_decode(self.json["access_token"].split(".")[1])))

    @property
    def kid(self) -> str:
        """The key that signed the token in it."""
        header = self.json["access_token"].split(".")[0]
        return str(json.loads(crypto.b64u_decode(header))["kid"])


Ask = Callable[[httpx.Client], Reply]


@dataclass
class Asked:
    """What one loop of questions got: answers, and what broke the connection."""

    replies: list[Reply] = field(default_factory=list)
    broken: list[httpx.HTTPError] = field(default_factory=list)

    def since(self, at: float) -> list[Reply]:
        """Answers to questions asked after ``at``."""
        return [reply for reply in list(self.replies) if reply.began > at]


class Fleet:
    """A server with its workers, and the same database in this process."""

    kind: type[RunningServer] = RunningServer

    def __init__(
        self, directory: Path, database_url: str, workers: int = 2, redis_url: str = "", **settings: str
    ) -> None:
        given = {
            "database_url": database_url,
            "master_keys": MASTER,
            "log_level": "WARNING",
            **WIDE_LIMITS,
            **({"redis_url": redis_url} if redis_url else {}),
            **settings,
        }
        self.server = self.kind(directory, workers=workers, **given)
        app = create_app(make_settings(directory, database_url, issuer=self.server.issuer))
        self.services = services_of(app)
        # as `authserver db upgrade` does, without a process of its own for it
        prepare(self.services)
        self.world: World = populate(app)

    def __enter__(self) -> Self:
        self.server.start()
        # one answers while the next is on its way
        until(lambda: len(self.server.worker_pids()) == self.server.workers, 30, "every worker")
        with self.pinned():
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self.services.database.engine.dispose()

    def client(self) -> httpx.Client:
        """A client that keeps one connection, and with it one worker."""
        return httpx.Client(
            base_url=self.server.address,
            timeout=30,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    @contextmanager
    def pinned(self) -> Iterator[dict[int, httpx.Client]]:
        """A client for each worker, by the worker's process id."""
        wanted = set(self.server.worker_pids())
        assert len(wanted) == self.server.workers
        with ExitStack() as stack:
            found: dict[int, httpx.Client] = {}
            deadline = time.monotonic() + 30
            while set(found) != wanted:
                assert time.monotonic() < deadline, "no connection reached every worker"
                client = self.client()
                pid = self.worker_of(client)
                if pid in found:
                    client.close()
                else:
                    found[pid] = client
                    stack.callback(client.close)
            yield found
            # no connection was lost on the way, and with it its worker
            assert [self.worker_of(client) for client in found.values()] == list(found)

    def worker_of(self, client: httpx.Client) -> int:
        """The worker that holds the connection of ``client``."""
        with client.stream("GET", "/healthz") as response:
            response.read()
            port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
            inode = _server_socket(self.server.port, port)
            for pid in self.server.worker_pids():
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    try:
                        if str(link.readlink()) == f"socket:[{inode}]":
                            return pid
                    except FileNotFoundError:
                        continue
        raise AssertionError("no worker holds this connection")

    def token(
        self, client_id: str = "svc1", scope: str = "payments:initiate", secret: str | None = None
    ) -> Ask:
        """Asks for a token."""
        form = {"grant_type": "client_credentials", "scope": scope}
        return self._post("/token", client_id, form, secret)

    def introspect(self, token: str) -> Ask:
        """Asks as the payments API whether ``token`` is active."""
        return self._post("/introspect", "rs_payments", {"token": token})

    def revoke(self, token: str) -> Ask:
        """Ends ``token``, as its client."""
        return self._post("/revoke", "svc1", {"token": token})

    def get(self, path: str) -> Ask:
        """Asks for a document."""
        return lambda client: _reply(client, "GET", path)

    def _post(self, path: str, client_id: str, form: dict[str, str], secret: str | None = None) -> Ask:
        header = basic(client_id, secret or self.world.secrets[client_id])
        return lambda client: _reply(client, "POST", path, data=form, headers={"Authorization": header})

    def issued(self) -> set[str]:
        """The ``jti`` of every token that the audit log knows."""
        return {row["detail"]["jti"] for row in self.world.events("token.issued")}

    def verdict(self) -> Verdict:
        """What verification of the audit log says."""
        return verify(
            self.services.database,
            self.services.master,
            lambda jws: self.services.keys.verify_checkpoint(jws, CHECKPOINT_TYP),
        )


class ForkingFleet(Fleet):
    """Workers that are there again within moments of a kill: what counts is what a dead one leaves behind."""

    kind = ForkingServer


def _reply(client: httpx.Client, method: str, path: str, **arguments: Any) -> Reply:
    began = time.time()
    response = client.request(method, path, **arguments)
    return Reply(began, time.time(), response.status_code, response.headers, response.content)


def _server_socket(server_port: int, client_port: int) -> str:
    """The inode of the server's end of a loopback connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote) == (server_port, client_port):
            return fields[9]
    raise AssertionError("there is no such connection")


@contextmanager
def asking(
    questions: list[tuple[httpx.Client, Ask]], pause: float = 0.01, *, in_turns: bool = True
) -> Iterator[list[Asked]]:
    """Each question is asked over and over by a thread of its own until the block ends."""
    stop = threading.Event()
    asked = [Asked() for _ in questions]
    # one request at a time on a connection: the client loses answers when threads share its only one
    turns = {id(client): threading.Lock() for client, _ in questions}

    def loop(client: httpx.Client, ask: Ask, got: Asked) -> None:
        while not stop.is_set():
            try:
                with turns[id(client)] if in_turns else nullcontext():
                    reply = ask(client)
                got.replies.append(reply)
            except httpx.HTTPError as error:
                got.broken.append(error)
            stop.wait(pause)

    threads = [
        threading.Thread(target=loop, args=(client, ask, got), daemon=True)
        for (client, ask), got in zip(questions, asked, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join(40)


def until(true: Callable[[], object], seconds: float, what: str) -> float:
    """Waits until ``true()`` holds; gives the seconds it took, AssertionError after ``seconds``."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began
