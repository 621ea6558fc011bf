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
from . import personal
from .events import Event
from .person_keys import PersonKeys

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
# the actor of an attempt by somebody who has not proved who they are
UNPROVED = "anonymous"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event before it is written; request, address and time are added from the context.

    ``detail`` holds small JSON values and never a secret, token, code or full account number. What it tells
    of a person's device or place goes under the names in ``personal.PERSONAL``.
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

    def __init__(self, commits: GroupCommit, master: crypto.MasterKeys, people: PersonKeys) -> None:
        self._commits = commits
        self._people = people
        self._key = master.derive(MAC_PURPOSE)
        self._kid = master.active
        self._insert = commits.insert_of(AuditEvent, (*COLUMNS, "mac"))
        self._late: deque[dict[str, Any]] = deque(maxlen=LATE_ROWS)

    def record(self, *entries: Entry) -> None:
        """``entries`` are durable, by one commit, and logged; Unavailable if they cannot be written."""
        rows = [_row(entry) for entry in entries]
        keys = self._keys(entries)
        self._write(*(self._resting(row, keys.get(row["user_id"])) for row in rows))
        for row in rows:
            self._log(row)

    def record_in(self, connection: Connection, entry: Entry) -> None:
        """``entry`` becomes durable with the transaction of ``connection``."""
        row = _row(entry)
        key = self._people.of_in(connection, entry.user_id) if entry.user_id else None
        self._insert.execute(connection, [_stored(self._resting(row, key))])
        self._log(row)

    def record_late(self, entry: Entry) -> None:
        """``entry`` is logged now and becomes durable when the database is back: it tells of its failure.

        If it names a person, nothing personal rests with it: their key is in the database.
        """
        row = _row(entry)
        self._log(row)
        self._late.append(self._resting(row, None))

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

    def _keys(self, entries: tuple[Entry, ...]) -> dict[str, bytes | None]:
        """The keys of those whom ``entries`` name; one read for somebody unproved, whoever that is."""
        unproved = {entry.user_id for entry in entries if entry.actor == UNPROVED}
        named = {entry.user_id for entry in entries if entry.user_id}
        return {who: self._people.of(who, looked_up=who in unproved) for who in unproved | named}

    def _resting(self, row: dict[str, Any], key: bytes | None) -> dict[str, Any]:
        """The row as it goes into the table: under the key of the person whom it names, and under a MAC."""
        if row["user_id"]:
            row = personal.under(key, row, context.current.get().user_agent)
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


def _row(entry: Entry) -> dict[str, Any]:
    """The event as it is told; what of it rests is for ``Audit`` to make."""
    caller = context.current.get()
    return {
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
        "worker": _worker(os.getpid()),
        "detail": entry.detail,
    }


@cache
def _worker(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}"


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
