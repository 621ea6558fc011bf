"""The chain: sealing gives each row its sequence number and a keyed hash over all rows before it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from .. import clock, crypto, metrics
from ..db import Database, insert_once, table_of
from ..models.audit_event import AuditCheckpoint, AuditEvent, AuditHead
from .record import COLUMNS, MAC_PURPOSE, canonical, row_mac

log = logging.getLogger(__name__)

GENESIS = "0" * 43
BATCH = 2000
# more rows than that wait: nobody counts how many
MANY = 10_000
CHECKPOINT_TYP = "audit-checkpoint+jwt"
CHAIN_PURPOSE = "audit.chain"

# Signs claims under a ``typ``: the keys' own function, handed in because keys stand to the right of audit.
Sign = Callable[[str, dict[str, Any]], str]
rows = table_of(AuditEvent)
heads = table_of(AuditHead)
checkpoints = table_of(AuditCheckpoint)
_SEALED = (
    update(rows).where(rows.c.id == bindparam("row")).values(seq=bindparam("place"), hash=bindparam("link"))
)
_WAITING = select(func.count()).select_from(
    select(rows.c.id).where(rows.c.seq.is_(None)).limit(MANY).subquery()
)


def link(key: bytes, previous: str, seq: int, row: dict[str, Any]) -> str:
    """The hash of a row at ``seq`` after a row whose hash is ``previous``."""
    content = (canonical(row) + row["mac"]).encode()
    return crypto.b64u(crypto.mac(key, previous.encode(), str(seq).encode(), content))


def head_mac(key: bytes, seq: int, hash_: str) -> str:
    """What shows that the head was written by somebody who holds the key."""
    return crypto.b64u(crypto.mac(key, b"head", str(seq).encode(), hash_.encode()))


def row_mac_fits(master: crypto.MasterKeys, row: dict[str, Any]) -> bool:
    """Whether the content of a row is what was recorded."""
    kid, _, rest = row["mac"].partition(".")
    nonce, _, code = rest.partition(".")
    try:
        key = master.derive(MAC_PURPOSE, kid)
    except KeyError:
        return False
    try:
        return crypto.equal(row_mac(key, nonce, row).encode(), code.encode())
    except TypeError:
        # a value of a kind that nobody records, such as bytes
        return False


class Sealer:
    """Chains what was recorded. Only the holder of the job's lease runs it."""

    def __init__(
        self,
        database: Database,
        master: crypto.MasterKeys,
        sign: Sign,
        *,
        anchor: Path | None = None,
        checkpoint_every: tuple[int, int] = (1000, 60),
    ) -> None:
        self._database = database
        # one chain, one key: the oldest, so that it outlives a change of the active master key
        self._key = master.derive(CHAIN_PURPOSE, list(master.keys)[-1])
        self._sign = sign
        self._anchor = anchor
        self._rows_between, self._seconds_between = checkpoint_every

    def pending(self) -> bool:
        """Whether rows wait for their places; how many is in the metrics, up to ``MANY``. One small read."""
        with self._database.reading() as connection:
            waiting = connection.execute(_WAITING).scalar_one()
        metrics.unsealed.set(waiting)
        return bool(waiting)

    def seal(self) -> int:
        """Every row recorded so far has its place; gives how many got one now."""
        total = 0
        while count := self._seal_batch():
            total += count
            if count < BATCH:
                break
        return total

    def _seal_batch(self) -> int:
        with self._database.writing() as connection:
            # the head is locked first: two sealers, should a lease ever overlap, still take turns
            head = connection.execute(select(heads).with_for_update()).mappings().one_or_none()
            seq, previous = (head["seq"], head["hash"]) if head else (0, GENESIS)
            query = select(rows).where(rows.c.seq.is_(None)).order_by(rows.c.id).limit(BATCH)
            batch = connection.execute(query).mappings().all()
            if not batch:
                return 0
            places = []
            for row in batch:
                try:
                    hash_ = link(self._key, previous, seq + 1, dict(row))
                except TypeError:
                    # bytes or the like, which nobody records: it stays outside, where verification
                    # finds it, and holds nobody else up
                    log.error("audit row %s cannot be sealed: it was changed", row["id"])
                    continue
                seq, previous = seq + 1, hash_
                places.append({"row": row["id"], "place": seq, "link": previous})
            if not places:
                return 0
            connection.execute(_SEALED, places)
            values = {"seq": seq, "hash": previous, "mac": head_mac(self._key, seq, previous)}
            connection.execute(update(heads).values(values) if head else insert(heads).values(id=1, **values))
            last = connection.execute(
                select(checkpoints.c.seq, checkpoints.c.at)
                .where(checkpoints.c.seq <= seq)
                .order_by(checkpoints.c.seq.desc())
                .limit(1)
            ).one_or_none()
        if (
            last is None
            or seq - last.seq >= self._rows_between
            or clock.now() - last.at >= self._seconds_between
        ):
            self.checkpoint(seq, previous)
        return len(places)

    def checkpoint(self, seq: int, hash_: str) -> None:
        """The chain up to ``seq`` is signed, in the database and, if one is set, in the anchor file."""
        at = clock.now()
        jws = self._sign(CHECKPOINT_TYP, {"iat": at, "seq": seq, "hash": hash_})
        with self._database.writing() as connection:
            # what the table says of higher numbers is nobody's signed word
            if not insert_once(connection, AuditCheckpoint, {"seq": seq, "at": at, "jws": jws}):
                return
        if self._anchor is not None:
            with self._anchor.open("a", encoding="ascii") as file:
                file.write(jws + "\n")


def read_batch(connection: Connection, after: int, count: int = BATCH) -> list[dict[str, Any]]:
    """Up to ``count`` sealed rows in order, from the one after ``after``."""
    wanted = [rows.c.id, rows.c.seq, rows.c.hash, rows.c.mac, *(rows.c[c] for c in COLUMNS)]
    query = select(*wanted).where(rows.c.seq > after).order_by(rows.c.seq).limit(count)
    return [dict(row) for row in connection.execute(query).mappings()]
