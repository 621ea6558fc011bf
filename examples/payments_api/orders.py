"""The shop's orders in one SQLite file: each is paid at most once, whatever browsers and crashes do.

    open ──▶ sent ──▶ paying ──▶ paid
              │ ▲        │
              ▼ │        │
            declined ◀───┘

An order is sent to the bank as often as its buyer likes: every attempt has a state, a nonce and a code
verifier of its own. The first attempt that comes back with a code takes the order to `paying`, alone:
each step is one UPDATE whose row count is the verdict. The access token rests here before it is used, so
that whoever finds an order in `paying` after a crash knows: without a token nothing was paid; with one
the same payment is asked for again under the same Idempotency-Key. When the token has expired meanwhile,
the order is in doubt until it is paid: a later refusal says nothing about the earlier approval.
"""

import hashlib
import json
import secrets
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

from .database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shop_order (
    id TEXT PRIMARY KEY, browser TEXT NOT NULL, basket INTEGER NOT NULL, created REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'open', since REAL NOT NULL, reason TEXT, doubt INTEGER NOT NULL DEFAULT 0,
    attempt TEXT, token TEXT, receipt TEXT, UNIQUE (browser, basket));
CREATE TABLE IF NOT EXISTS attempt (
    state TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES shop_order (id), created REAL NOT NULL,
    nonce TEXT NOT NULL, code_verifier TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0, step_up TEXT);
CREATE INDEX IF NOT EXISTS attempt_created ON attempt (created);
CREATE INDEX IF NOT EXISTS shop_order_state ON shop_order (state, since);
"""
# Longer than any call to the issuer or the API: whoever has not finished by then has died.
_LEASE_SECONDS = 60
_KEEP_SECONDS = 24 * 3600
_KEEP_UNPAID_SECONDS = 30 * 24 * 3600
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Order:
    """An order as its buyer may see it; `since` is when it came to its state, in seconds since 1970."""

    id: str
    state: str
    since: float
    reason: str | None
    doubt: bool
    attempt: str | None = field(repr=False)
    token: str | None = field(repr=False)
    receipt: dict[str, Any] | None

    @property
    def abandoned(self) -> bool:
        """Whether nobody can be working on it any more, before there was a token to pay with."""
        return self.state == "paying" and self.token is None and self.since < time() - _LEASE_SECONDS


@dataclass(frozen=True)
class Attempt:
    """One way to the bank and back; `state` binds the answer to it (RFC 6749 §10.12)."""

    order_id: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    # what the API demanded of the payer's login when an earlier attempt came to pay (RFC 9470)
    step_up: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """How the attempt is known here: a digest, so that nobody who reads the file can answer for it."""
        return _digest(self.state)


class Orders:
    """The tables in the file `path`, for any number of threads and workers."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)
        with self._database.transaction() as db:
            # a file of an earlier version
            if "step_up" not in {row["name"] for row in db.execute("PRAGMA table_info (attempt)")}:
                db.execute("ALTER TABLE attempt ADD COLUMN step_up TEXT")

    def basket_of(self, browser: str) -> int:
        """Return the number of the basket that this browser fills: one more than it has paid."""
        with self._database.connection() as db:
            return _basket(db, _digest(browser))

    def order(self, browser: str, basket: int) -> Order | None:
        """Return the order of this basket, made now if it is the first time; None for an unknown basket."""
        with self._database.transaction() as db:
            _forget(db, time())
            if basket == _basket(db, _digest(browser)):
                order_id = "".join(secrets.choice(_LETTERS) for _ in range(10))
                row = (order_id, _digest(browser), basket, time(), time())
                sql = "INSERT INTO shop_order (id, browser, basket, created, since) VALUES (?, ?, ?, ?, ?)"
                db.execute(sql + " ON CONFLICT DO NOTHING", row)
            return _order(db, "browser = ? AND basket = ?", _digest(browser), basket)

    def find(self, browser: str, order_id: str) -> Order | None:
        """Return an order of this browser; None if it has none of that id."""
        with self._database.connection() as db:
            return _order(db, "browser = ? AND id = ?", _digest(browser), order_id)

    def send(self, order: Order, step_up: dict[str, str] | None = None) -> Attempt | None:
        """Return a new attempt to pay the order; None if it is being paid or was."""
        state, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(order.id, state, nonce, code_verifier, step_up or {})
        now = time()
        with self._database.transaction() as db:
            if not _move(db, order.id, "sent", *_free()):
                return None
            demanded = json.dumps(attempt.step_up)
            row = (attempt.id, order.id, now, attempt.nonce, attempt.code_verifier, demanded)
            db.execute("INSERT INTO attempt VALUES (?, ?, ?, ?, ?, 0, ?)", row)
        return attempt

    def attempt(self, browser: str, state: str) -> Attempt | None:
        """Return the attempt of this browser with this state; None for whatever else came back."""
        with self._database.connection() as db:
            sql = "SELECT a.* FROM attempt a JOIN shop_order o ON o.id = a.order_id"
            values = (_digest(state), _digest(browser))
            row = db.execute(sql + " WHERE a.state = ? AND o.browser = ?", values).fetchone()
        if row is None:
            return None
        step_up = json.loads(row["step_up"] or "{}")
        return Attempt(row["order_id"], state, row["nonce"], row["code_verifier"], step_up)

    def take(self, attempt: Attempt) -> bool:
        """Tell whether this attempt, and no other, may now turn its code into a payment."""
        with self._database.transaction() as db:
            if not _use(db, attempt) or not _move(db, attempt.order_id, "paying", *_free()):
                return False
            mine = (attempt.id, attempt.order_id)
            db.execute("UPDATE shop_order SET attempt = ? WHERE id = ?", mine)
            return True

    def hold(self, attempt: Attempt, access_token: str) -> bool:
        """Tell whether the token rests here; False if this attempt was too slow and lost the order."""
        with self._database.transaction() as db:
            sql = "UPDATE shop_order SET token = ? WHERE id = ? AND " + _HELD
            return db.execute(sql, (access_token, attempt.order_id, attempt.id)).rowcount == 1

    def paid(self, order_id: str, receipt: dict[str, Any]) -> None:
        """The order is paid, for good."""
        with self._database.transaction() as db:
            if _move(db, order_id, "paid", "state <> 'paid'"):
                sql = "UPDATE shop_order SET receipt = ?, doubt = 0 WHERE id = ?"
                db.execute(sql, (json.dumps(receipt), order_id))

    def refused(self, attempt: Attempt, reason: str) -> None:
        """The bank did not let this attempt through: the order is declined unless another one has it."""
        with self._database.transaction() as db:
            if _use(db, attempt) and _move(db, attempt.order_id, "declined", "state = 'sent'"):
                _explain(db, attempt.order_id, reason)

    def failed(self, order_id: str, attempt_id: str | None, reason: str) -> None:
        """Nothing was paid by the attempt that had the order, and nothing will be."""
        with self._database.transaction() as db:
            if _move(db, order_id, "declined", _HELD, attempt_id):
                _explain(db, order_id, reason)

    def doubted(self, order_id: str, attempt_id: str | None) -> None:
        """Nobody can be asked any more whether this attempt paid: only a new approval will tell."""
        with self._database.transaction() as db:
            if _move(db, order_id, "declined", _HELD, attempt_id):
                db.execute("UPDATE shop_order SET doubt = 1 WHERE id = ?", (order_id,))


_HELD = "state = 'paying' AND attempt = ?"


def _free() -> tuple[str, float]:
    # Nobody has the order, or whoever had it died before there was a token.
    free = "(state IN ('open', 'sent', 'declined') OR (state = 'paying' AND token IS NULL AND since < ?))"
    return free, time() - _LEASE_SECONDS


def _forget(db: sqlite3.Connection, now: float) -> None:
    # What was never paid, and cannot have been, is of no use to anybody.
    db.execute("DELETE FROM attempt WHERE created < ?", (now - _KEEP_SECONDS,))
    sql = "DELETE FROM shop_order WHERE state IN ('open', 'sent', 'declined') AND NOT doubt AND since < ?"
    db.execute(sql, (now - _KEEP_UNPAID_SECONDS,))


def _move(db: sqlite3.Connection, order_id: str, state: str, when: str, *values: Any) -> bool:
    # Whatever the order becomes, the token of what it was is of no more use.
    sql = "UPDATE shop_order SET state = ?, since = ?, reason = NULL, token = NULL WHERE id = ? AND "
    return db.execute(sql + when, (state, time(), order_id, *values)).rowcount == 1


def _use(db: sqlite3.Connection, attempt: Attempt) -> bool:
    sql = "UPDATE attempt SET used = 1 WHERE state = ? AND used = 0"
    return db.execute(sql, (attempt.id,)).rowcount == 1


def _explain(db: sqlite3.Connection, order_id: str, reason: str) -> None:
    db.execute("UPDATE shop_order SET reason = ? WHERE id = ?", (reason, order_id))


def _order(db: sqlite3.Connection, where: str, *values: Any) -> Order | None:
    row = db.execute(f"SELECT * FROM shop_order WHERE {where}", values).fetchone()
    if row is None:
        return None
    receipt = json.loads(row["receipt"]) if row["receipt"] else None
    told = (row["id"], row["state"], row["since"], row["reason"], bool(row["doubt"]))
    return Order(*told, row["attempt"], row["token"], receipt)


def _basket(db: sqlite3.Connection, browser: str) -> int:
    sql = "SELECT count(*) FROM shop_order WHERE browser = ? AND state = 'paid'"
    return 1 + int(db.execute(sql, (browser,)).fetchone()[0])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
