"""Lists of breached passwords as others publish them, read line by line; each gives 64 bits of a hash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import Invalid
from .breach_filter import key_of

# a k-anonymity range: its file is named by five digits of the hash, its lines have the other 35
RANGE = re.compile(r"[0-9A-Fa-f]{5}")
ALL_RANGES = 16**5
LINE = re.compile(rb"([0-9A-Fa-f]{35}|[0-9A-Fa-f]{40})(?::([0-9]{1,12}))?\r?\n?")
MAX_LINE = 4096
PREFIX, WHOLE = 5, 40


def keys(source: Path, *, plain: bool, at_least: int) -> Iterator[int]:
    """What ``source`` lists: a file, or a folder of ranges; Invalid names the line that is none of a list.

    ``plain`` means passwords in UTF-8, one a line. A hash with a count counts from ``at_least`` on; ranges
    are padded with counts of 0, which are nobody's passwords.
    """
    try:
        if plain:
            yield from _plain(source)
        elif source.is_dir():
            for file in ranges(source):
                yield from _hashes(file, at_least)
        else:
            yield from _hashes(source, at_least)
    except OSError as error:
        raise Invalid(f"{error.filename or source} cannot be read: {error.strerror}.") from error


def ranges(folder: Path) -> list[Path]:
    """The files of ranges in ``folder``, in the order of their hashes; Invalid if there is none."""
    found = sorted((f for f in folder.iterdir() if RANGE.fullmatch(f.stem)), key=lambda f: f.stem.upper())
    if not found:
        raise Invalid(
            f"{folder} has no ranges: files named by the first five digits of a hash, as 0A1B2.txt."
        )
    return found


def _hashes(file: Path, at_least: int) -> Iterator[int]:
    prefix = file.stem.encode() if RANGE.fullmatch(file.stem) else b""
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), b""), 1):
            matched = LINE.fullmatch(line)
            if matched is None:
                if line.strip():
                    raise Invalid(f"{file}, line {number}: this is neither HASH:COUNT in SHA-1 nor empty.")
                continue
            digits, count = matched.groups()
            if len(digits) != WHOLE:
                digits = prefix + digits
            if len(digits) != WHOLE:
                raise Invalid(f"{file}, line {number}: half a hash, in a file not named by the other half.")
            if count is None or int(count) >= max(1, at_least):
                yield int(digits[:16], 16)


def _plain(file: Path) -> Iterator[int]:
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), b""), 1):
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                raise Invalid(f"{file}, line {number}: longer than any password.")
            try:
                password = line.removesuffix(b"\n").removesuffix(b"\r").decode()
            except UnicodeDecodeError as error:
                raise Invalid(f"{file}, line {number}: not UTF-8.") from error
            if password:
                yield key_of(password)
