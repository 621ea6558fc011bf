"""Making the file of breached passwords from lists, in order and in little memory."""

from __future__ import annotations

import os
import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ... import crypto
from .. import password
from .layout import BUCKETS, HEAD_BYTES, MOST, REST_BYTES, TABLE_BYTES, FilterRefused, Head, place_of

# one line of a list of digests; of a range file, whose name has the first five digits; SHA-1 in hexadecimal
_WHOLE = re.compile(rb"([0-9A-Fa-f]{40})(?::([0-9]{1,12}))?")
_RANGE = re.compile(rb"([0-9A-Fa-f]{35})(?::([0-9]{1,12}))?")
_RANGE_NAME = re.compile(r"([0-9A-Fa-f]{5})(?:\.txt)?")
# a number of 44 bits names a place: bucket and rest
_REST_BITS = 8 * REST_BYTES
_WRITE = 1 << 20


def build(source: Path, target: Path, *, plain: bool = False, least: int = 1) -> int:
    """``target`` holds the passwords of ``source``, replaced whole; gives how many.

    ``source`` is a folder of k-anonymity ranges (files named 00000 to FFFFF with ``SUFFIX:COUNT``), a list of
    ``SHA1:COUNT`` lines, or with ``plain`` one of passwords in UTF-8. Those seen fewer than ``least`` times
    are left out; no count is a count of one. FilterRefused names the line that is none of these.
    """
    if source.is_dir():
        places = _of_ranges(source, least)
    elif plain:
        places = iter(sorted(set(_of_passwords(source))))
    else:
        places = _of_digests(source, least)
    draft = target.with_name(target.name + ".new")
    try:
        with draft.open("wb") as file:
            count = _write(file, places)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _write(file: BinaryIO, places: Iterable[int]) -> int:
    """The file is written from places in ascending order; those that share one count once."""
    starts = array("I", bytes(4 * (BUCKETS + 1)))
    file.seek(HEAD_BYTES + TABLE_BYTES)
    rests, count, last, bucket = bytearray(), 0, -1, 0
    for place in places:
        if place == last:
            continue
        if place < last:
            raise FilterRefused("The list is not sorted: sort it by digest first.")
        while bucket < place >> _REST_BITS:
            bucket += 1
            starts[bucket] = count
        rests += (place & 0xFFFFFF).to_bytes(REST_BYTES, "big")
        last, count = place, count + 1
        if len(rests) >= _WRITE:
            file.write(rests)
            rests.clear()
    if count > MOST:
        raise FilterRefused("The list is too long: leave the rare ones out with --least.")
    file.write(rests)
    for after in range(bucket + 1, BUCKETS + 1):
        starts[after] = count
    if sys.byteorder == "big":
        starts.byteswap()
    file.seek(HEAD_BYTES)
    file.write(starts.tobytes())
    file.flush()
    file.seek(0)
    file.write(Head(count, crypto.sha256_of_file(Path(file.name), HEAD_BYTES)).to_bytes())
    return count


def _of_ranges(folder: Path, least: int) -> Iterator[int]:
    """The places of a folder of ranges, in order."""
    named = sorted(
        (m[1].upper(), path) for path in folder.iterdir() if (m := _RANGE_NAME.fullmatch(path.name))
    )
    if not named:
        raise FilterRefused(f"There are no files named 00000 to FFFFF in {folder}.")
    for prefix, path in named:
        start = int(prefix, 16) << _REST_BITS
        for number, line in _lines(path):
            entry = _RANGE.fullmatch(line)
            if entry is None:
                raise FilterRefused(f"{path}, line {number}: not SUFFIX:COUNT.")
            if int(entry[2] or 1) >= least:
                yield start | int(entry[1][:6], 16)


def _of_digests(path: Path, least: int) -> Iterator[int]:
    """The places of a list of digests, in its order."""
    for number, line in _lines(path):
        found = _WHOLE.fullmatch(line)
        if found is None:
            raise FilterRefused(f"{path}, line {number}: not SHA1:COUNT. Is it --plain?")
        if int(found[2] or 1) >= least:
            yield int(found[1][:11], 16)


def _of_passwords(path: Path) -> Iterator[int]:
    """The places of passwords, one a line."""
    for number, line in _lines(path):
        try:
            text = password.normalise(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise FilterRefused(f"{path}, line {number}: not UTF-8.") from error
        bucket, rest = place_of(crypto.sha1(text.encode()))
        yield bucket << _REST_BITS | int.from_bytes(rest, "big")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if text := line.rstrip(b"\r\n"):
                yield number, text
