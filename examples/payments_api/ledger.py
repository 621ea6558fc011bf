"""Payments, refunds and what was answered to each Idempotency-Key, in one SQLite file.

Every change is one transaction that takes the write lock first (BEGIN IMMEDIATE), so that several
workers agree; whatever must happen once is one statement whose row count is the verdict.
"""

import json
import secrets
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

from .database import Database
from .payment import Money, Payment, Refund

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
    id TEXT PRIMARY KEY, client_id TEXT NOT NULL, creditor_name TEXT NOT NULL, iban TEXT NOT NULL,
    minor INTEGER NOT NULL, currency TEXT NOT NULL, refunded INTEGER NOT NULL,
    bic TEXT, remittance TEXT, debtor_iban TEXT, subject TEXT,
    CHECK (0 <= refunded AND refunded <= minor));
CREATE TABLE IF NOT EXISTS refund (
    id TEXT PRIMARY KEY, payment_id TEXT NOT NULL REFERENCES payment (id), minor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS request (
    client_id TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, resource_id TEXT NOT NULL,
    attempt INTEGER NOT NULL, since REAL NOT NULL, status INTEGER, body TEXT,
    debtor_iban TEXT, ready INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (client_id, key));
CREATE INDEX IF NOT EXISTS request_since ON request (since);
CREATE TABLE IF NOT EXISTS approval (id TEXT PRIMARY KEY, client_id TEXT NOT NULL, key TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS approval_key ON approval (client_id, key);
"""
# What a file of an earlier version lacks.
_ADDED = {
    "payment": ("bic TEXT", "remittance TEXT", "debtor_iban TEXT", "subject TEXT"),
    "request": ("debtor_iban TEXT", "ready INTEGER NOT NULL DEFAULT 0"),
}
# An approval pays once and not once a day: its request is remembered for good.
_FORGET = """DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE since < ? AND NOT EXISTS (
    SELECT 1 FROM approval a WHERE a.client_id = request.client_id AND a.key = request.key) LIMIT 100)"""
_TURN = " WHERE client_id = ? AND key = ? AND attempt = ? AND status IS NULL"
_LEASE_SECONDS = 60
_KEEP_SECONDS = 24 * 3600
_REFUND_REFUSED = {
    "error": "refund_refused",
    "error_description": "The refund exceeds what is left of the payment, or has another currency",
}


class KeyReused(Exception):
    """The key stands for another request of this client."""


class InProgress(Exception):
    """The same request is being worked on right now."""


class ApprovalBound(Exception):
    """The approval stands for the request under another key."""


class UnknownPayment(Exception):
    """This client has no such payment."""


@dataclass(frozen=True)
class Request:
    """A request that must happen once: who asks, under which key, for what.

    `approval` names a person's approval, which is for one key alone; None for a client by itself. The
    account to pay from is the payer's: two approvals of one request may differ in it.
    """

    client_id: str
    key: str
    fingerprint: str
    approval: str | None = None
    debtor_iban: str | None = None


@dataclass(frozen=True)
class Answer:
    """What was answered: repeated word for word to the same request."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """The right to work on a request, for 60 seconds; `resource_id` is the same in every attempt.

    `ready` if its approval is used up: the bank may have been asked, and `request` has the account for that.
    """

    request: Request
    resource_id: str
    attempt: int
    ready: bool


class Ledger:
    """The tables in the file `path`, for any number of threads and workers."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)
        with self._database.transaction() as db:
            for table, columns in _ADDED.items():
                there = {row["name"] for row in db.execute(f"PRAGMA table_info ({table})")}
                for column in columns:
                    if column.split()[0] not in there:
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
            if "gid" in {row["name"] for row in db.execute("PRAGMA table_info (approval)")}:
                db.execute("ALTER TABLE approval RENAME COLUMN gid TO id")

    def begin(self, request: Request) -> Turn | Answer:
        """Return the turn to work on `request`, or the answer it had before.

        KeyReused if its key stands for something else, ApprovalBound if its approval stands for another key,
        InProgress if another has the turn.
        """
        now = time()
        with self._database.transaction() as db:
            db.execute(_FORGET, (now - _KEEP_SECONDS,))
            _check_bound(db, request)
            who = (request.client_id, request.key)
            row = db.execute("SELECT * FROM request WHERE client_id = ? AND key = ?", who).fetchone()
            if row is None:
                _bind(db, request)
                turn = Turn(request, secrets.token_urlsafe(16), 1, request.approval is None)
                values = (*who, request.fingerprint, turn.resource_id, 1, now)
                more = (request.debtor_iban, turn.ready)
                db.execute(
                    "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?)", (*values, *more)
                )
                return turn
            if row["fingerprint"] != request.fingerprint:
                raise KeyReused
            _bind(db, request)
            if row["status"] is not None:
                return Answer(row["status"], json.loads(row["body"]))
            if row["since"] > now - _LEASE_SECONDS:
                raise InProgress
            # Whoever had the turn has died: the next one goes on under the same resource id.
            if row["ready"]:
                request = replace(request, debtor_iban=row["debtor_iban"])
            ready = bool(row["ready"]) or request.approval is None
            turn = Turn(request, row["resource_id"], row["attempt"] + 1, ready)
            sql = "UPDATE request SET attempt = ?, since = ?, debtor_iban = ?, ready = ?"
            changed = (turn.attempt, now, request.debtor_iban, ready)
            db.execute(sql + " WHERE client_id = ? AND key = ?", (*changed, *who))
            return turn

    def ready(self, turn: Turn) -> None:
        """Let later attempts go on with this payment: its approval is used up; InProgress if overtaken."""
        with self._database.transaction() as db:
            _hold(db, turn)
            db.execute("UPDATE request SET ready = 1" + _TURN, _whose(turn))

    def give_back(self, turn: Turn) -> None:
        """Let the next attempt at the request begin at once, after this one failed."""
        with self._database.transaction() as db:
            values = (time() - _LEASE_SECONDS, *_whose(turn))
            db.execute("UPDATE request SET since = ?" + _TURN, values)

    def record_payment(self, turn: Turn, payment: Payment, subject: str) -> Answer:
        """Store the payment together with the answer to its request, and return that."""
        body = {"id": turn.resource_id, "status": "accepted", **payment.as_json()}
        row = (turn.resource_id, turn.request.client_id, payment.creditor_name, payment.iban)
        with self._database.transaction() as db:
            _hold(db, turn)
            values = (*row, payment.money.minor, payment.money.currency)
            more = (payment.bic, payment.remittance, payment.debtor_iban, subject)
            db.execute("INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)", (*values, *more))
            return _answer(db, turn, Answer(201, body))

    def record_refund(self, turn: Turn, refund: Refund) -> Answer:
        """Store the refund, if the payment has that much left, together with the answer to its request."""
        money = refund.money
        owner = (refund.payment_id, turn.request.client_id, money.currency)
        with self._database.transaction() as db:
            _hold(db, turn)
            # Check and change are one statement: two refunds cannot both see the same remainder.
            sql = (
                "UPDATE payment SET refunded = refunded + ?"
                " WHERE id = ? AND client_id = ? AND currency = ? AND refunded + ? <= minor"
            )
            if db.execute(sql, (money.minor, *owner, money.minor)).rowcount != 1:
                return _answer(db, turn, Answer(422, _REFUND_REFUSED))
            row = (turn.resource_id, refund.payment_id, money.minor)
            db.execute("INSERT INTO refund VALUES (?, ?, ?)", row)
            body = {"id": turn.resource_id, "paymentId": refund.payment_id, "status": "accepted"}
            return _answer(db, turn, Answer(201, {**body, "instructedAmount": money.as_json()}))

    def payment(self, payment_id: str, client_id: str, subject: str) -> dict[str, Any]:
        """Return a payment as JSON: one of this client for the client itself, for a person one of theirs.

        UnknownPayment if there is none of that id.
        """
        with self._database.connection() as db:
            sql = "SELECT * FROM payment WHERE id = ? AND client_id = ? AND (? = client_id OR subject = ?)"
            row = db.execute(sql, (payment_id, client_id, subject, subject)).fetchone()
        if row is None:
            raise UnknownPayment
        money = Money(row["minor"], row["currency"])
        more = (row["bic"], row["remittance"], row["debtor_iban"])
        payment = Payment(row["creditor_name"], row["iban"], money, *more)
        refunded = Money(row["refunded"], row["currency"])
        return {
            "id": row["id"],
            "status": "accepted",
            **payment.as_json(),
            "refundedAmount": refunded.as_json(),
        }

    def knows(self, request: Request) -> bool:
        """Tell whether the bank may have been asked, for this request under its key and this approval."""
        with self._database.connection() as db:
            sql = (
                "SELECT 1 FROM approval JOIN request USING (client_id, key)"
                " WHERE id = ? AND client_id = ? AND key = ? AND (ready OR status IS NOT NULL)"
            )
            return db.execute(sql, (request.approval, request.client_id, request.key)).fetchone() is not None


def _check_bound(db: sqlite3.Connection, request: Request) -> None:
    """The approval was bound to this key when it was first shown, or is now; ApprovalBound otherwise."""
    row = db.execute("SELECT client_id, key FROM approval WHERE id = ?", (request.approval,)).fetchone()
    if row is not None and (row["client_id"], row["key"]) != (request.client_id, request.key):
        raise ApprovalBound


def _bind(db: sqlite3.Connection, request: Request) -> None:
    if request.approval is not None:
        sql = "INSERT INTO approval VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        db.execute(sql, (request.approval, request.client_id, request.key))


def _whose(turn: Turn) -> tuple[str, str, int]:
    return turn.request.client_id, turn.request.key, turn.attempt


def _hold(db: sqlite3.Connection, turn: Turn) -> None:
    # Whoever was too slow has lost the turn to somebody else, and must not leave anything behind.
    if db.execute("SELECT 1 FROM request" + _TURN, _whose(turn)).fetchone() is None:
        raise InProgress


def _answer(db: sqlite3.Connection, turn: Turn, answer: Answer) -> Answer:
    values = (answer.status, json.dumps(answer.body), *_whose(turn))
    db.execute("UPDATE request SET status = ?, body = ?" + _TURN, values)
    return answer
