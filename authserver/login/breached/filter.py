"""Looking passwords up in the file of breached ones, which every worker maps and none copies."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from ... import crypto
from .. import password
from .layout import BUCKETS, HEAD_BYTES, REST_BYTES, TABLE_BYTES, FilterRefused, Head, place_of

__all__ = ["BreachedPasswords", "FilterRefused"]

_START = struct.Struct("<I")
_PAIR = struct.Struct("<II")


class BreachedPasswords:
    """The passwords of a file; of none if there is no file.

    A look reads the beginning of one bucket and a few places in it, from memory that all processes share. The
    file is replaced whole by an import: a running server keeps the one that it began with.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        self.count = 0
        if path is None:
            return
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            head = Head.of(self._map[:HEAD_BYTES])
            if len(self._map) != head.size:
                raise FilterRefused("it is cut off, or something follows it")
            if self._start_of(0) != 0 or self._start_of(BUCKETS) != head.count:
                raise FilterRefused("its table is not that of its passwords")
        except (OSError, ValueError, FilterRefused) as error:
            raise FilterRefused(f"The breached passwords in {path} cannot be read: {error}.") from error
        self.count = head.count

    def __contains__(self, text: str) -> bool:
        """Whether a password was in a breach, as it is hashed here: in NFC."""
        if self._map is None:
            return False
        data = password.normalise(text).encode("utf-8", "surrogatepass")
        bucket, rest = place_of(crypto.sha1(data))
        start, end = _PAIR.unpack_from(self._map, HEAD_BYTES + 4 * bucket)
        return self._found(rest, start, min(end, self.count))

    def verify(self) -> None:
        """Reads the whole file; FilterRefused unless it is as it was written."""
        if self._map is None or self._path is None:
            return
        if crypto.sha256_of_file(self._path, HEAD_BYTES) != Head.of(self._map[:HEAD_BYTES]).digest:
            raise FilterRefused("The file of breached passwords has changed since it was written.")

    def _start_of(self, bucket: int) -> int:
        assert self._map is not None
        return int(_START.unpack_from(self._map, HEAD_BYTES + 4 * bucket)[0])

    def _found(self, rest: bytes, low: int, high: int) -> bool:
        """Whether ``rest`` is among the sorted places from ``low`` to ``high``."""
        assert self._map is not None
        base = HEAD_BYTES + TABLE_BYTES
        while low < high:
            middle = (low + high) // 2
            at = base + REST_BYTES * middle
            there = self._map[at : at + REST_BYTES]
            if there == rest:
                return True
            if there < rest:
                low = middle + 1
            else:
                high = middle
        return False
