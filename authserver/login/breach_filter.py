"""Which passwords are known from breaches: a file of truncated SHA-1 hashes in order, read by mmap.

A hash falls into one of ``2**bucket_bits`` buckets by its first bits; of the next ones ``REMAINDER`` bytes
rest in order. Buckets hold 16 on average at most, so a password that is in no list is taken for one with a
chance under 16 / 2**24, one in a million; one that is in the list is always found. A look-up touches two
places of the file. Layout: header, remainders, index of where each bucket begins.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .. import crypto
from ..errors import Invalid
from .password import normalise

MAGIC = b"ASBREACH"
VERSION = 1
REMAINDER = 3
# the average of a bucket, at most
LOAD = 16
MAX_BUCKET_BITS = 32
# magic, version, bits of a bucket's number, bytes of a remainder, hashes, made at, SHA-256 of what follows
FIELDS = struct.Struct("<8sHBBQQ32s")
HEADER_DIGEST = 32
HEADER = FIELDS.size + HEADER_DIGEST
PLACE = struct.Struct("<I")
PLACES = struct.Struct("<II")
CHUNK = 1 << 20


class FilterRefused(Invalid):
    """The file is no filter of this version, or not as it was written."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a filter says of itself; ``content`` is the SHA-256 of all that follows the header."""

    bucket_bits: int
    count: int
    made_at: int
    content: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return HEADER + REMAINDER * self.count + PLACE.size * ((1 << self.bucket_bits) + 1)

    @property
    def false_positives(self) -> float:
        """The chance that a password in no list is found."""
        return self.count / (1 << self.bucket_bits + 8 * REMAINDER)

    def packed(self) -> bytes:
        """The header's bytes, with a digest of their own."""
        fields = FIELDS.pack(
            MAGIC, VERSION, self.bucket_bits, REMAINDER, self.count, self.made_at, self.content
        )
        return fields + crypto.sha256(fields)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The header of a file that begins with ``data``; ValueError says what is wrong with it."""
        if len(data) < HEADER or not data.startswith(MAGIC):
            raise ValueError("it is not a filter made by `authserver passwords import`")
        fields = data[: FIELDS.size]
        _, version, bits, remainder, count, made_at, content = FIELDS.unpack(fields)
        if crypto.sha256(fields) != data[FIELDS.size : HEADER]:
            raise ValueError("its header is damaged")
        if (version, remainder) != (VERSION, REMAINDER) or bits > MAX_BUCKET_BITS:
            raise ValueError(f"it is of version {version}, and version {VERSION} is read here")
        return cls(bits, count, made_at, content)


class BreachFilter:
    """A filter that is mapped into memory: workers share its pages, and none is copied."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self.header = Header.read(file.read(HEADER))
                size = os.fstat(file.fileno()).st_size
                if size != self.header.size:
                    raise ValueError(f"it has {size} bytes of {self.header.size}")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise FilterRefused(f"The breached passwords in {path} cannot be used: {reason}.") from error
        self._path = path
        self._index = HEADER + REMAINDER * self.header.count

    def __contains__(self, password: str) -> bool:
        """Whether ``password`` is known, as it was typed or in the form that is hashed at rest."""
        return any(self.has(key_of(spelling)) for spelling in {password, normalise(password)})

    def has(self, key: int) -> bool:
        """Whether a hash is known by its first 64 bits."""
        bucket, remainder = split(key, self.header.bucket_bits)
        first, last = PLACES.unpack_from(self._map, self._index + PLACE.size * bucket)
        held = self._map[HEADER + REMAINDER * first : HEADER + REMAINDER * last]
        return any(held[i : i + REMAINDER] == remainder for i in range(0, len(held), REMAINDER))

    def verify(self) -> None:
        """Every byte is as it was written; FilterRefused otherwise. Reads the whole file."""
        digest = crypto.sha256_begun()
        with memoryview(self._map) as view:
            for begin in range(HEADER, len(view), CHUNK):
                digest.update(view[begin : begin + CHUNK])
        if digest.digest() != self.header.content:
            raise FilterRefused(f"The breached passwords in {self._path} cannot be used: they are damaged.")


def key_of(password: str) -> int:
    """The first 64 bits of the hash under which lists of breached passwords name ``password``."""
    return int.from_bytes(crypto.sha1_of_lists(password.encode("utf-8", "surrogatepass"))[:8])


def split(key: int, bucket_bits: int) -> tuple[int, bytes]:
    """The bucket of a hash, and what of it rests there."""
    kept = key >> (64 - bucket_bits - 8 * REMAINDER)
    return kept >> 8 * REMAINDER, (kept & (1 << 8 * REMAINDER) - 1).to_bytes(REMAINDER)
