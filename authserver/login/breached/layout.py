"""How the file of breached passwords is laid out.

The SHA-1 of a password (lists of breaches are kept under it) is cut to 44 bits: the first 20 name a bucket,
the next 24 rest in it, three bytes each, sorted. A table of where each bucket begins comes first. A password
that is not in the list is taken for one with a probability of its bucket's size in 2**24: with a billion
passwords, 6 in 100,000.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from ...errors import Invalid

MAGIC = b"authserver-breached\n"
VERSION = 1
BUCKET_BITS, REST_BYTES = 20, 3
BUCKETS = 1 << BUCKET_BITS
# magic, version, how many passwords, SHA-256 of the table and all after it
_HEAD = struct.Struct("<20sIQ32s")
HEAD_BYTES = _HEAD.size
TABLE_BYTES = 4 * (BUCKETS + 1)
MOST = 2**32 - 1


class FilterRefused(Invalid):
    """The file of breached passwords cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file: how many passwords it has, and the SHA-256 of what follows."""

    count: int
    digest: bytes

    def to_bytes(self) -> bytes:
        """As it rests."""
        return _HEAD.pack(MAGIC, VERSION, self.count, self.digest)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The head of a file; FilterRefused if it is none."""
        if len(data) < HEAD_BYTES:
            raise FilterRefused("it is cut off")
        magic, version, count, digest = _HEAD.unpack(data[:HEAD_BYTES])
        if magic != MAGIC:
            raise FilterRefused("it is no file of breached passwords")
        if version != VERSION:
            raise FilterRefused(f"it has version {version}; this server reads version {VERSION}")
        return cls(count, digest)

    @property
    def size(self) -> int:
        """The bytes of the whole file."""
        return HEAD_BYTES + TABLE_BYTES + REST_BYTES * self.count


def place_of(digest: bytes) -> tuple[int, bytes]:
    """The bucket of a SHA-1, and what of it rests there."""
    number = int.from_bytes(digest[:6], "big") >> 4
    return number >> 24, (number & 0xFFFFFF).to_bytes(REST_BYTES, "big")
