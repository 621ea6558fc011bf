"""Writing events: a row with a MAC in a transaction, and the same content as one JSON line."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection

from .. import clock, compact_json, context, crypto, metrics
from ..errors import Unavailable
from ..group_commit import GroupCommit
from ..models.audit_event import AuditEvent
from .events import Event

log = logging.getLogger("authserver.audit")

Outcome = Literal["succeeded", "denied", "failed"]
# The columns that a MAC covers, in the order of its canonical form.
COLUMNS = (
    "at_ms", "event", "outcome", "reason", "user_id", "client_id", "actor", "client_ip",
    "request_id", "session_id", "resource", "worker", "detail",
)  # fmt: skip
MAC_PURPOSE = "audit.row"
NONCE_BITS = 72
# events of a lost database that a process keeps until it is back; the oldest make room
LATE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One event before it is written; request, address and time are added from the context.

    ``detail`` holds small JSON values and never a secret, token, code or full account number.
    """

    event: Event
    outcome: Outcome = "succeeded"
    reason: str = ""
    client_id: str = ""
    user_id: str = ""
    session_id: str = ""
    actor: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def canonical(row: dict[str, Any]) -> str:
    """The one spelling of a row's content that its MAC is made over."""
    return json.dumps([row[c] for c in COLUMNS], ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def row_mac(key: bytes, nonce: str, row: dict[str, Any]) -> str:
    """The MAC of a row. Its ``nonce`` sets apart two rows that say the same: a copied row shows."""
    return crypto.b64u(crypto.mac(key, nonce.encode(), canonical(row).encode()))


def cut(text: str, length: int) -> str:
    """``text`` in printable ASCII of at most ``length``; a longer one ends in the digest of the whole."""
    plain = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    if len(plain) <= length:
        return plain
    mark = "~" + crypto.b64u(crypto.digest(text))[:12]
    return plain[: length - len(mark)] + mark


class Audit:
    """Writes events. Nothing is answered before the event of it is committed."""

    def __init__(self, commits: GroupCommit, master: crypto.MasterKeys) -> None:
        self._commits = commits
        self._key = master.derive(MAC_PURPOSE)
        self._kid = master.active
        self._insert = commits.insert_of(AuditEvent, (*COLUMNS, "mac"))
        self._host = socket.gethostname()
        self._late: deque[dict[str, Any]] = deque(maxlen=LATE_ROWS)

    def record(self, *entries: Entry) -> None:
        """``entries`` are durable, by one commit, and logged; Unavailable if they cannot be written."""
        rows = [self._row(entry) for entry in entries]
        self._write(*rows)
        for row in rows:
            self._log(row)

    def record_in(self, connection: Connection, entry: Entry) -> None:
        """``entry`` becomes durable with the transaction of ``connection``."""
        row = self._row(entry)
        self._insert.execute(connection, [_stored(row)])
        self._log(row)

    def record_late(self, entry: Entry) -> None:
        """``entry`` is logged now and becomes durable when the database is back: it tells of its failure."""
        row = self._row(entry)
        self._log(row)
        self._late.append(row)

    def flush_late(self) -> None:
        """What waited for the database is durable; Unavailable while it is still away."""
        while self._late:
            row = self._late.popleft()
            try:
                # another nonce each time: a write that failed may have been committed unheard
                self._write(self._under_mac(row))
            except Unavailable:
                self._late.appendleft(row)
                raise

    def _write(self, *rows: dict[str, Any]) -> None:
        self._commits.add(self._insert, *map(_stored, rows))

    def _row(self, entry: Entry) -> dict[str, Any]:
        caller = context.current.get()
        row: dict[str, Any] = {
            "at_ms": clock.now_ms(),
            "event": entry.event.value,
            "outcome": entry.outcome,
            "reason": entry.reason,
            "user_id": entry.user_id,
            "client_id": cut(entry.client_id, 128),
            "actor": entry.actor or _actor(entry),
            "client_ip": caller.address,
            "request_id": caller.request_id,
            "session_id": entry.session_id,
            "resource": cut(caller.resource, 200),
            "worker": f"{self._host}:{os.getpid()}",
            "detail": entry.detail,
        }
        return self._under_mac(row)

    def _under_mac(self, row: dict[str, Any]) -> dict[str, Any]:
        nonce = crypto.identifier(NONCE_BITS)
        return row | {"mac": f"{self._kid}.{nonce}.{row_mac(self._key, nonce, row)}"}

    def _log(self, row: dict[str, Any]) -> None:
        _counter(row["event"], row["outcome"]).inc()
        # what failed is no mere information
        level = logging.WARNING if row["outcome"] == "failed" else logging.INFO
        if log.isEnabledFor(level):
            line = {name: row[name] for name in COLUMNS if row[name] not in ("", {})}
            log.log(level, json.dumps(line, ensure_ascii=True, separators=(",", ":")))


def _stored(row: dict[str, Any]) -> dict[str, Any]:
    """The row as the driver takes it."""
    return row | {"detail": compact_json.encode(row["detail"]).decode()}


@cache
def _counter(event: str, outcome: str) -> Any:
    """The metric of an event: both labels come from closed sets."""
    return metrics.events.labels(event, outcome)


def _actor(entry: Entry) -> str:
    caller = context.current.get()
    if caller.actor:
        return cut(caller.actor, 128)
    if entry.user_id:
        return f"user:{entry.user_id}"
    if entry.client_id:
        return f"client:{cut(entry.client_id, 120)}"
    return "anonymous" if caller.request_id else "system"
