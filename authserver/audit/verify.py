"""Verification: any row changed, removed, inserted, reordered or cut from the end is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from .. import clock, crypto
from ..db import Database
from .chain import (
    CHAIN_PURPOSE,
    GENESIS,
    checkpoints,
    head_mac,
    heads,
    link,
    read_batch,
    row_mac_fits,
    rows,
)

# a row older than this and not sealed: the sealing jobs are stopped, or were
UNSEALED_MS = 60_000
# The claims of a checkpoint whose signature holds, else None.
ReadCheckpoint = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True)
class Verdict:
    """Whether the log is whole: rows checked, the first bad sequence number, and what is wrong there."""

    rows: int
    unsealed: int
    first_bad: int | None = None
    fault: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.fault


def verify(
    database: Database, master: crypto.MasterKeys, read: ReadCheckpoint, anchor: Path | None = None
) -> Verdict:
    """The state of the whole log, read from its first row to its head."""
    key = master.derive(CHAIN_PURPOSE, list(master.keys)[-1])
    stated = _stated(database, read, anchor)
    if isinstance(stated, Verdict):
        return stated
    walk = _Walk(master, key, stated)
    try:
        while batch := _read(database, walk.seq):
            for row in batch:
                walk.step(row)
        return _end(database, walk)
    except _Broken as broken:
        return Verdict(walk.seq, broken.unsealed, broken.first_bad, broken.fault)


class _Broken(Exception):
    def __init__(self, first_bad: int | None, fault: str, unsealed: int = 0) -> None:
        super().__init__(fault)
        self.first_bad = first_bad
        self.fault = fault
        self.unsealed = unsealed


class _Walk:
    """Where a reading of the chain has come to, and what it has seen on the way."""

    def __init__(self, master: crypto.MasterKeys, key: bytes, stated: dict[int, str]) -> None:
        self.master = master
        self.key = key
        self.stated = stated
        self.seq, self.hash = 0, GENESIS
        # eight bytes of each MAC: no two rows share one, as each has a nonce of its own
        self._seen: set[bytes] = set()

    def step(self, row: dict[str, Any]) -> None:
        """The row is the next of the chain; _Broken otherwise."""
        if row["seq"] != self.seq + 1:
            raise _Broken(self.seq + 1, "a row is missing")
        if not row_mac_fits(self.master, row):
            raise _Broken(row["seq"], "a row was changed")
        if link(self.key, self.hash, row["seq"], row) != row["hash"]:
            raise _Broken(row["seq"], "a row was inserted, replaced or moved")
        if self.repeats(row):
            raise _Broken(row["seq"], "a row is a copy of an earlier one")
        if self.stated.get(row["seq"], row["hash"]) != row["hash"]:
            raise _Broken(row["seq"], "differs from a signed checkpoint")
        self.seq, self.hash = row["seq"], row["hash"]

    def repeats(self, row: dict[str, Any]) -> bool:
        """Whether a row with this MAC was there before."""
        short = crypto.sha256(row["mac"].encode())[:8]
        if short in self._seen:
            return True
        self._seen.add(short)
        return False


def _read(database: Database, after: int) -> list[dict[str, Any]]:
    with database.reading() as connection:
        try:
            return read_batch(connection, after)
        except ValueError:
            # a row whose JSON no longer parses, to be found by itself
            pass
        try:
            return read_batch(connection, after, count=1)
        except ValueError:
            raise _Broken(after + 1, "a row was changed") from None


def _stated(database: Database, read: ReadCheckpoint, anchor: Path | None) -> dict[int, str] | Verdict:
    """What signed checkpoints say: sequence number to hash."""
    with database.reading() as connection:
        found = connection.execute(
            select(checkpoints.c.seq, checkpoints.c.jws).order_by(checkpoints.c.seq)
        ).all()
    lines = [row.jws for row in found]
    for row in found:
        claims = read(row.jws)
        if claims is not None and claims["seq"] != row.seq:
            return Verdict(0, 0, None, "a checkpoint was moved to another number")
    if anchor is not None and lines and not anchor.exists():
        return Verdict(0, 0, None, "the anchor file is missing")
    if anchor is not None and anchor.exists():
        lines += anchor.read_text("ascii").split()
    stated: dict[int, str] = {}
    for line in lines:
        claims = read(line)
        if claims is None:
            return Verdict(0, 0, None, "a checkpoint's signature does not hold")
        if stated.setdefault(claims["seq"], claims["hash"]) != claims["hash"]:
            return Verdict(0, 0, claims["seq"], "two checkpoints contradict each other")
    return stated


def _end(database: Database, walk: _Walk) -> Verdict:
    """The verdict on what stands behind the last row of the chain, and outside of it."""
    seq, highest_checkpoint = walk.seq, max(walk.stated, default=0)
    with database.reading() as connection:
        head = connection.execute(select(heads)).mappings().one_or_none()
        later = connection.execute(select(rows.c.seq).where(rows.c.seq > seq).limit(1)).scalar()
        before = connection.execute(select(rows.c.seq).where(rows.c.seq < 1).limit(1)).scalar()
        hidden = connection.execute(select(rows.c.seq).where(rows.c.id < 1).limit(1)).first()
        try:
            unsealed = connection.execute(select(rows).where(rows.c.seq.is_(None))).mappings().all()
        except ValueError:
            raise _Broken(None, "a row not sealed yet was changed") from None
    loose = [dict(row) for row in unsealed]
    if hidden is not None:
        raise _Broken(hidden.seq, "a row was given another id", len(loose))
    if before is not None:
        raise _Broken(before, "a row was inserted before the first one", len(loose))
    if head is None and (seq or highest_checkpoint):
        raise _Broken(seq + 1, "the head of the chain is missing", len(loose))
    if head is not None and head["mac"] != head_mac(walk.key, head["seq"], head["hash"]):
        raise _Broken(None, "the head of the chain was changed", len(loose))
    # rows sealed while we read are no fault: the head may run ahead only if those rows exist
    if (head and head["seq"] > seq and later is None) or highest_checkpoint > seq:
        raise _Broken(seq + 1, "rows were cut from the end", len(loose))
    if head and head["seq"] <= seq and (head["seq"], head["hash"]) != (seq, walk.hash):
        raise _Broken(head["seq"] + 1, "the head of the chain was rolled back", len(loose))
    if any(row["at_ms"] < clock.now_ms() - UNSEALED_MS for row in loose):
        raise _Broken(None, "rows wait for their place in the chain: nobody seals them", len(loose))
    if not all(row_mac_fits(walk.master, row) for row in loose):
        raise _Broken(None, "a row not sealed yet was changed", len(loose))
    if any(walk.repeats(row) for row in loose):
        raise _Broken(None, "a row not sealed yet is a copy", len(loose))
    return Verdict(seq, len(loose))
