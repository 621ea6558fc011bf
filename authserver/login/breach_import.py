"""Making a filter of breached passwords: in memory of a fixed size, in its place whole or not at all."""

from __future__ import annotations

import heapq
import os
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from .. import clock, crypto
from ..errors import Invalid, NotDone
from .breach_filter import HEADER, LOAD, MAX_BUCKET_BITS, Header, split

# hashes that are sorted at a time, eight bytes each
RUN = 2_000_000
READ = 1 << 16
WRITTEN = 1 << 20
# where a bucket begins is a number of 32 bits
MOST = 2**32 - 1


def write(path: Path, keys: Iterable[int], run: int = RUN) -> Header:
    """``path`` is a filter of ``keys``, 64 bits of a hash each, in any order; Invalid if there are none.

    Workers that have an older one mapped go on with it until they find this one.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".passwords-", dir=path.parent) as folder:
            runs, count = _spool(Path(folder), keys, run)
            if not 0 < count <= MOST:
                raise Invalid(f"The list has {count} passwords; a filter holds 1 to {MOST}.")
            new = Path(folder) / "filter"
            with new.open("w+b") as file:
                header = _fill(file, heapq.merge(*map(_read, runs)), _bucket_bits(count))
                os.fsync(file.fileno())
            new.chmod(0o644)
            new.replace(path)
    except OSError as error:
        raise NotDone(f"{path} cannot be written: {error.strerror}.") from error
    return header


def _bucket_bits(count: int) -> int:
    """As few buckets as hold ``LOAD`` on average at most."""
    return min(MAX_BUCKET_BITS, max(1, ((count - 1) // LOAD).bit_length()))


def _spool(folder: Path, keys: Iterable[int], run: int) -> tuple[list[Path], int]:
    """Files of sorted keys, and how many keys those are; a list that is in order gives one file."""
    runs: list[Path] = []
    count, last = 0, -1
    for chunk in _chunks(keys, run):
        if not runs or chunk[0] < last:
            runs.append(folder / f"run{len(runs)}")
        with runs[-1].open("ab") as file:
            chunk.tofile(file)
        count, last = count + len(chunk), chunk[-1]
    return runs, count


def _chunks(keys: Iterable[int], run: int) -> Iterator[array[int]]:
    chunk: array[int] = array("Q")
    for key in keys:
        chunk.append(key)
        if len(chunk) == run:
            yield array("Q", sorted(chunk))
            chunk = array("Q")
    if chunk:
        yield array("Q", sorted(chunk))


def _read(run: Path) -> Iterator[int]:
    with run.open("rb") as file:
        while data := file.read(8 * READ):
            yield from array("Q", data)


def _fill(file: IO[bytes], keys: Iterable[int], bucket_bits: int) -> Header:
    """The file holds ``keys``, which come in order, each once."""
    digest, held, count = crypto.sha256_begun(), bytearray(), 0
    ends = array("I", bytes(4 * ((1 << bucket_bits) + 1)))
    previous: tuple[int, bytes] | None = None

    def flush(data: bytes | bytearray | array[int]) -> None:
        digest.update(data)
        file.write(data)

    file.write(bytes(HEADER))
    for key in keys:
        here = split(key, bucket_bits)
        if here == previous:
            continue
        previous, count = here, count + 1
        ends[here[0] + 1] = count
        held += here[1]
        if len(held) >= WRITTEN:
            flush(held)
            held.clear()
    flush(held)
    for bucket in range(1, len(ends)):
        # an empty one ends where the one before does
        ends[bucket] = max(ends[bucket], ends[bucket - 1])
    flush(_little_endian(ends))
    header = Header(bucket_bits, count, clock.now(), digest.digest())
    file.seek(0)
    file.write(header.packed())
    file.flush()
    return header


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
