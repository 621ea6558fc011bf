"""Verification: any row changed, removed, inserted, reordered or cut from the end is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from .. import crypto
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
    seq, previous = 0, GENESIS
    while True:
        with database.reading() as connection:
            batch = read_batch(connection, seq)
        if not batch:
            break
        for row in batch:
            fault = _fault(master, key, row, seq, previous)
            fault = fault or (
                "differs from a signed checkpoint"
                if stated.get(row["seq"], row["hash"]) != row["hash"]
                else ""
            )
            if fault:
                return Verdict(seq, 0, seq + 1, fault)
            seq, previous = row["seq"], row["hash"]
    return _end(database, master, key, (seq, previous, max(stated, default=0)))


def _fault(master: crypto.MasterKeys, key: bytes, row: dict[str, Any], seq: int, previous: str) -> str:
    if row["seq"] != seq + 1:
        return "a row is missing"
    if not row_mac_fits(master, row):
        return "a row was changed"
    if link(key, previous, row["seq"], row) != row["hash"]:
        return "a row was inserted, replaced or moved"
    return ""


def _stated(database: Database, read: ReadCheckpoint, anchor: Path | None) -> dict[int, str] | Verdict:
    """What signed checkpoints say: sequence number to hash."""
    with database.reading() as connection:
        lines = [row.jws for row in connection.execute(select(checkpoints.c.jws).order_by(checkpoints.c.seq))]
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


def _end(database: Database, master: crypto.MasterKeys, key: bytes, found: tuple[int, str, int]) -> Verdict:
    seq, hash_, highest_checkpoint = found
    with database.reading() as connection:
        head = connection.execute(select(heads)).mappings().one_or_none()
        later = connection.execute(select(rows.c.seq).where(rows.c.seq > seq).limit(1)).scalar()
        loose = [dict(r) for r in connection.execute(select(rows).where(rows.c.seq.is_(None))).mappings()]
    if head is None and (seq or highest_checkpoint):
        return Verdict(seq, len(loose), seq + 1, "the head of the chain is missing")
    if head is not None and head["mac"] != head_mac(key, head["seq"], head["hash"]):
        return Verdict(seq, len(loose), None, "the head of the chain was changed")
    # rows sealed while we read are no fault: the head may run ahead only if those rows exist
    if (head and head["seq"] > seq and later is None) or highest_checkpoint > seq:
        return Verdict(seq, len(loose), seq + 1, "rows were cut from the end")
    if head and head["seq"] <= seq and (head["seq"], head["hash"]) != (seq, hash_):
        return Verdict(seq, len(loose), head["seq"] + 1, "the head of the chain was rolled back")
    if not all(row_mac_fits(master, row) for row in loose):
        return Verdict(seq, len(loose), None, "a row not sealed yet was changed")
    return Verdict(seq, len(loose))
