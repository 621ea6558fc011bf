"""Leases: rows that let one process of a fleet do what should be done once."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from sqlalchemy import select, update

from . import clock
from .db import Database, insert_once, table_of
from .models.lease import Lease

LEASE_MS = 10_000
table = table_of(Lease)


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job fares: who holds it, when it last ran (Unix seconds), and its last error's type."""

    job: str
    holder: str
    last_run: int | None
    last_error: str | None


def holder() -> str:
    """This process, as lease rows name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def take(database: Database, job: str, who: str, lease_ms: int = LEASE_MS) -> bool:
    """Whether ``who`` holds the lease on ``job`` from now for ``lease_ms``, anew or still."""
    now = clock.now_ms()
    with database.writing() as connection:
        taken = (
            update(table)
            .where(
                table.c.job == job,
                # a lease far in the future is none that this code gave
                (table.c.until_ms < now) | (table.c.until_ms > now + 3 * lease_ms) | (table.c.holder == who),
            )
            .values(holder=who, until_ms=now + lease_ms)
        )
        if connection.execute(taken).rowcount == 1:
            return True
        # no such row yet, or somebody else's lease
        return insert_once(connection, Lease, {"job": job, "holder": who, "until_ms": now + lease_ms})


def give_back(database: Database, who: str) -> None:
    """Every lease that ``who`` holds is free for others."""
    with database.writing() as connection:
        connection.execute(update(table).where(table.c.holder == who).values(until_ms=0))


def finished(database: Database, job: str, error: str | None) -> None:
    """The row of ``job`` says when it last ran, and the type of its error if it failed."""
    with database.writing() as connection:
        values = {"last_run": clock.now(), "last_error": error}
        connection.execute(update(table).where(table.c.job == job).values(values))


def states(database: Database) -> list[JobState]:
    """How every job fares."""
    with database.reading() as connection:
        rows = connection.execute(select(table).order_by(table.c.job)).mappings().all()
    return [JobState(row["job"], row["holder"], row["last_run"], row["last_error"]) for row in rows]
