"""Request bodies: read whole or not at all, and never by so many threads that none is left.

A WSGI server gives a thread to each body that it waits for, without a limit in time. One address may
hold a few of them, all addresses together most, and a body that ends early is refused.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .errors import RequestRejected

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream

DEFAULT_THREADS = 8
WAIT_SECONDS = 0.05


class Places:
    """Who reads a body now: at most half of the threads for one address, all but two in sum.

    A body that is there is read in microseconds, so whoever finds no place waits for a moment first.
    """

    def __init__(self, threads: int) -> None:
        threads = threads or DEFAULT_THREADS
        self._each = max(1, threads // 2)
        self._all = max(1, threads - 2)
        self._held: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, address: str) -> Iterator[None]:
        """A place while the block runs; RequestRejected 429 when none comes free."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(address), timeout=WAIT_SECONDS):
                raise RequestRejected(
                    429,
                    "slow_bodies",
                    "Too many unfinished requests. Send each whole.",
                    [("Retry-After", "1")],
                )
            self._held[address] += 1
        try:
            yield
        finally:
            with self._changed:
                self._held[address] -= 1
                if not self._held[address]:
                    del self._held[address]
                self._changed.notify_all()

    def _free(self, address: str) -> bool:
        return self._held[address] < self._each and self._held.total() < self._all


class Body:
    """``wsgi.input`` of one request with a declared length: read under a place, complete or refused."""

    def __init__(self, stream: InputStream, length: int, places: Places, address: str) -> None:
        self._stream = stream
        self._length = length
        self._places = places
        self._address = address
        self._whole: BytesIO | None = None

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; RequestRejected 400 when the body ended before its declared length."""
        return self._read().read(size)

    def readline(self, size: int = -1) -> bytes:
        """The next line, or ``size`` bytes of it."""
        return self._read().readline(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """The lines that are left."""
        return self._read().readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._read())

    def _read(self) -> BytesIO:
        # Once and to its end: nobody reads a body over the limit, and a server that has seen the end
        # keeps the connection.
        if self._whole is None:
            with self._places.taken(self._address):
                data = self._stream.read()
            if len(data) != self._length:
                raise RequestRejected(400, "body_cut", "The body ended before its declared length.")
            self._whole = BytesIO(data)
        return self._whole


def guard(environ: dict[str, Any], places: Places, address: str) -> None:
    """``environ`` gives its body through ``Body``; RequestRejected for one without a declared length.

    Of a chunked body a WSGI app cannot tell the end from a broken connection, so what follows a cut would
    silently be missing. A proxy that buffers sends a length.
    """
    if "HTTP_TRANSFER_ENCODING" in environ:
        # a body that does not say its size counts as too large
        raise RequestRejected(400, "too_large", "Send the body with a Content-Length.")
    declared = environ.get("CONTENT_LENGTH") or "0"
    if not (declared.isascii() and declared.isdigit() and len(declared) < 16):
        raise RequestRejected(400, "no_length", "Send the body with a Content-Length.")
    environ["wsgi.input"] = Body(environ["wsgi.input"], int(declared), places, address)
