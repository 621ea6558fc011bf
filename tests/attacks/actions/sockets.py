"""What only a socket can say: endless bodies, floods of headers, bytes that are no HTTP, several workers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from plugins.app import basic

from ..invariants import check_error
from ..runner import FORM, Run
from ..wire import LiveWire, Reply, Request

BLOCK = b"A" * 65_536
HOSTILE_PATHS = (
    "/%ff%fe", "/%e2%82%ac", "/%00", "/a%0d%0aX:%20y", "/%f0%9f%92%a9", "/%c0%ae%c0%ae/", "*",
    "/\u00c3\u00a9", "/\u00ff", "http://evil.example/nothing",
)  # fmt: skip
HOSTILE_FIELDS = (
    "User-Agent: \u00ff\u00fe", "Authorization: Basic \u00ff", "Cookie: \u00ff=\u00fe", "X-A: \x01",
    "X-A: a\x00b",
)  # fmt: skip


def endless_bodies(run: Run, size: int, cut_after: int, memory_kib: int) -> None:
    """Bodies of ``size`` bytes are refused after a few; the workers' memory grows by less than a little."""
    _head(run, "POST /token", "Content-Length: 3", [b"a=b"])  # what is made once is made
    before = _peaks(run)
    for path, kind in itertools.product(
        ("/token", "/introspect", "/revoke"), (FORM, "multipart/form-data; boundary=x", "application/json")
    ):
        for length in (f"Content-Length: {size}", "Transfer-Encoding: chunked"):
            counted = _Counted(size, chunked="chunked" in length)
            reply = _head(run, f"POST {path}", f"Content-Type: {kind}\r\n{length}", counted.parts())
            assert reply.status in (400, 413), reply
            assert reply.json["error"] == "invalid_request"
            check_error(reply)
            _told(run, reply, "http.rejected", "too_large")
            assert counted.sent < cut_after, f"{counted.sent} bytes were taken"
    for pid, peak in _peaks(run).items():
        assert peak - before.get(pid, peak) < memory_kib, f"{peak - before[pid]} KiB more"


def bad_lengths(run: Run) -> None:
    """Lengths that are none, two, or contradict the body end in 400, never in a request that was not sent."""
    known = len(run.world.events("token.issued"))
    body = b"grant_type=client_credentials&scope=reports"
    good = f"Content-Type: {FORM}\r\nAuthorization: {basic('web1', run.world.secrets['web1'])}\r\n"
    smuggled = b"POST /token HTTP/1.1\r\n" + good.encode() + b"Content-Length: 43\r\n\r\n" + body
    for lines in (
        "Content-Length: -1", "Content-Length: 0x2b", "Content-Length: 4_3", f"Content-Length: {'9' * 20}",
        "Content-Length: 43, 44", "Content-Length: 43\r\nContent-Length: 44", "Content-Length: abc",
        "Content-Length: 1e309", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
    ):  # fmt: skip
        reply = _head(run, "POST /token", good + lines, [body])
        assert reply.status in (400, 411, 413, 501), (lines, reply)
    # a body that the length calls empty, and the request after it that was never meant to be one
    reply = _head(run, "GET /jwks", f"{good}Content-Length: 0", [smuggled])
    assert reply.status == 200
    assert len(run.world.events("token.issued")) == known
    # both framings at once: chunked decides, or it is refused (RFC 9112 §6.1)
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(b"grant_type=x"), b"grant_type=x")
    reply = _head(run, "POST /token", f"{good}Content-Length: 4\r\nTransfer-Encoding: chunked", [chunk])
    assert reply.status == 400


def header_floods(run: Run) -> None:
    """Too many, too long, too many cookies, too long a URL: refused, the worker alive."""
    pids = run.live.worker_pids()
    floods = {
        "10,000 headers": ("POST /token", "\r\n".join(f"X-{i}: a" for i in range(10_000))),
        "a header of a megabyte": ("POST /token", "X-Long: " + "A" * 1_048_576),
        "1,000 cookies": ("POST /token", "Cookie: " + "; ".join(f"c{i}={'v' * 20}" for i in range(1000))),
        "1,000 cookie headers": ("GET /jwks", "\r\n".join(f"Cookie: c{i}=v" for i in range(1000))),
        "a header over the app's limit": ("GET /jwks", "X-Long: " + "A" * 17_000),
        "a URL of 64 kB": ("GET /jwks?" + "A" * 65_536, "X-Short: a"),
        "a path over the app's limit": ("GET /" + "A" * 10_000, "X-Short: a"),
    }
    for name, (line, headers) in floods.items():
        reply = _head(run, line, headers)
        assert reply.status in (400, 414, 431), (name, reply)
        assert reply.headers["connection"] == "close"
        if reply.request_id:
            # what reached the app is in the log; what the server's parser refused never was a request
            check_error(reply)
            _told(run, reply, "http.rejected", "too_large")
    assert run.live.worker_pids() == pids


def underscored_headers(run: Run) -> None:
    """No spelling of a forwarding header speaks for the client when no proxy is configured."""
    for lines in (
        "X-Forwarded-For: 203.0.113.1", "X_Forwarded_For: 203.0.113.1", "x_forwarded-for: 203.0.113.1",
        "X-Forwarded-For: 203.0.113.1\r\nX_Forwarded_For: 203.0.113.2", "Forwarded: for=203.0.113.1",
        "X_Real_IP: 203.0.113.1", "REMOTE_ADDR: 203.0.113.1", "Remote-Addr: 203.0.113.1",
        "HTTP_X_FORWARDED_FOR: 203.0.113.1", "X_Client_Cert: x", "X-Real-IP: 203.0.113.1\r\nX: x",
    ):  # fmt: skip
        reply = _head(
            run, "POST /token", f"Content-Type: {FORM}\r\n{lines}\r\nContent-Length: 12", [b"grant_type=x"]
        )
        assert reply.status == 400, (lines, reply)
        row = _told(run, reply, "token.rejected", "grant_type")
        assert row["client_ip"] == "127.0.0.1", lines


def hostile_fields_live(run: Run) -> None:
    """Bytes in path, method and headers that are no text: an honest answer, and a row where one can be."""
    for line, headers in (
        *((f"GET {path}", "X-A: a") for path in HOSTILE_PATHS),
        *(("GET /nothing", field) for field in HOSTILE_FIELDS),
        ("FOO<> /nothing", "X-A: a"), ("GET /nothing HTTP/9.9\r\nX:", "X-A: a"), ("GET", "X-A: a"),
        ("OPTIONS *", "X-A: a"), ("GET  /jwks", "X-A: a"),
    ):  # fmt: skip
        reply = _head(run, line, headers)
        assert 400 <= reply.status < 500, (line, headers, reply)
        if reply.request_id:
            check_error(reply)
            _told(run, reply, "http.rejected", "")
    for value in ("\u00ff\u00fe", "Basic \u00ff", "\u00c3\u00a9", "Basic \x7f"):
        reply = _head(
            run,
            "POST /token",
            f"Content-Type: {FORM}\r\nAuthorization: {value}\r\nContent-Length: 43",
            [b"grant_type=client_credentials&scope=reports"],
        )
        assert reply.status in (400, 401), (value, reply)


def settle(run: Run) -> None:
    """Every worker knows of the last change (at most a second old)."""
    time.sleep(1)


def on_every_worker(run: Run, step: dict[str, Any], expect: dict[str, Any], after: float = 1.0) -> None:
    """From ``after`` seconds on, every worker answers as expected."""
    time.sleep(after)
    known = max(row["id"] for row in run.world.events())
    for _ in range(20):
        run.send(expect, **step, repeat=4)
        workers = {row["worker"] for row in run.world.events() if row["id"] > known and row["request_id"]}
        if len(workers) >= run.live.workers:
            return
    raise AssertionError(f"only {workers} answered")


class _Counted:
    """A body that counts how much of it was taken."""

    def __init__(self, size: int, *, chunked: bool) -> None:
        self.sent = 0
        self._size = size
        self._chunked = chunked

    def parts(self) -> Iterator[bytes]:
        part = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if self._chunked else BLOCK
        while self.sent < self._size:
            yield part
            self.sent += len(BLOCK)


def _head(run: Run, line: str, headers: str, body: Iterable[bytes] = ()) -> Reply:
    """The answer to a request put together by hand; the connection is closed after it."""
    wire = run.wire
    assert isinstance(wire, LiveWire)
    head = f"{line} HTTP/1.1\r\nHost: localhost:{run.live.port}\r\n{headers}\r\nConnection: close\r\n\r\n"
    parts = itertools.chain([head.encode("latin-1")], body)
    return wire.raw(parts, Request(line.partition(" ")[0], line.partition(" ")[2]))


def _told(run: Run, reply: Reply, event: str, reason: str) -> dict[str, Any]:
    rows = [row for row in run.world.events(event) if row["request_id"] == reply.request_id]
    assert rows, f"no row {event} for {reply}"
    assert not reason or rows[0]["reason"] == reason, rows
    assert rows[0]["client_ip"] == "127.0.0.1"
    return rows[0]


def _peaks(run: Run) -> dict[int, int]:
    """The highest memory of each worker so far, in KiB."""
    found = {}
    for pid in run.live.worker_pids():
        line = next(
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
        )
        found[pid] = int(line.split()[1])
    return found
