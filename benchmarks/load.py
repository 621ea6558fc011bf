"""The load: a process of its own that keeps N connections busy until a fixed number of answers came.

Reads a job as JSON on standard input, writes what it saw as JSON on standard output. Only the standard
library and one thread, so that it takes little of the machine that it measures. Every connection has one
request under way; the next one leaves when the answer is complete.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
NO_BODY = (204, 304)


@dataclass
class Load:
    """``count`` requests, taken in turn from ``requests``, over ``connections`` to a loopback ``port``.

    With ``chain`` all requests together are one: each is sent once the answer before it came, with what the
    pattern at its place in ``chain`` found there in place of ``{}``. Its last status counts.
    ``keep`` also returns the answers whole; after ``seconds`` what is not answered is given up.
    """

    port: int
    requests: list[str]
    count: int
    connections: int = 8
    keep: bool = False
    seconds: float = 60.0
    chain: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """What came back: statuses with their counts, latencies in µs, answer bytes of all."""

    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    latencies_us: list[float] = field(default_factory=list)
    received: int = 0
    kept: list[str] = field(default_factory=list)

    def unlike(self, status: int) -> int:
        """How many answers had another status, or never came."""
        return sum(count for name, count in self.statuses.items() if name != str(status))


def run(load: Load) -> Seen:
    """``load`` done in another process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        timeout=load.seconds + 30,
        check=True,
    )
    return Seen(**json.loads(done.stdout))


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0
        # in a chain: the request under way
        self.step = 0

    def begin(self, request: bytes) -> None:
        """The first or only request of one is under way."""
        self.step = 0
        self.sent_at = time.perf_counter()
        self.send(request)

    def send(self, request: bytes) -> None:
        self.received = b""
        self.socket.sendall(request)

    def read(self) -> int | None:
        """The status of the answer once it is complete; ConnectionError when it never will be."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("closed before the answer was complete")
        self.received += data
        head, end, body = self.received.partition(HEAD_END)
        if not end:
            return None
        status = int(head[9:12])
        if status in NO_BODY:
            return status
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        complete = body.endswith(LAST_CHUNK) if length is None else len(body) >= length
        return status if complete else None


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = [request.encode("latin-1") for request in load.requests]
        self.seen = Seen()
        self.sent = 0
        self.chain = [re.compile(pattern.encode()) for pattern in load.chain]
        self.selector = selectors.DefaultSelector()

    def count(self, status: str) -> None:
        self.seen.statuses[status] = self.seen.statuses.get(status, 0) + 1

    def next(self, connection: _Connection) -> None:
        """The connection has its next request under way, or has ended when there is none."""
        if self.sent >= self.load.count:
            self.selector.unregister(connection.socket)
            connection.socket.close()
            return
        self.sent += 1
        connection.begin(self.requests[0 if self.chain else (self.sent - 1) % len(self.requests)])

    def goes_on(self, connection: _Connection) -> bool:
        """Whether the next request of a chain is under way; a chain without what it needs ends there."""
        if connection.step >= len(self.chain):
            return False
        found = self.chain[connection.step].search(connection.received)
        if found is None:
            return False
        connection.step += 1
        connection.send(self.requests[connection.step].replace(b"{}", found[1]))
        return True

    def add(self) -> None:
        connection = _Connection(self.load.port)
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        self.next(connection)

    def take(self, connection: _Connection) -> None:
        try:
            status = connection.read()
        except OSError:
            self.count("broken")
            self.selector.unregister(connection.socket)
            connection.socket.close()
            if self.sent < self.load.count:
                self.add()
            return
        if status is None or self.goes_on(connection):
            return
        self.seen.latencies_us.append((time.perf_counter() - connection.sent_at) * 1e6)
        self.seen.received += len(connection.received)
        self.count(str(status))
        if self.load.keep:
            self.seen.kept.append(connection.received.decode("latin-1"))
        self.next(connection)

    def run(self) -> Seen:
        began = time.perf_counter()
        for _ in range(min(self.load.connections, self.load.count)):
            self.add()
        while self.selector.get_map():
            if time.perf_counter() - began > self.load.seconds:
                self.seen.statuses["unanswered"] = self.load.count - sum(self.seen.statuses.values())
                break
            for key, _ in self.selector.select(timeout=1):
                self.take(key.data)
        self.seen.seconds = time.perf_counter() - began
        return self.seen


if __name__ == "__main__":
    json.dump(asdict(_Run(Load(**json.load(sys.stdin))).run()), sys.stdout)
