"""Values that count once. The database remembers them, so no restart and no flushed cache forgets."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from . import crypto
from .db import Database
from .group_commit import GroupCommit
from .models.replay import Replay


class ReplayGuard:
    """Claims values; of any number of claimants, on any worker, one wins."""

    def __init__(self, database: Database, commits: GroupCommit) -> None:
        self._commits = commits
        self._insert = sqlite_insert if database.sqlite else postgresql_insert

    def claim(self, purpose: str, value: str, expires_at: int) -> bool:
        """Whether this is the first use of ``value`` for ``purpose``; remembered until ``expires_at``."""
        statement = (
            self._insert(Replay)
            .values(purpose=purpose, value=crypto.digest(value), expires_at=expires_at)
            .on_conflict_do_nothing()
        )

        def work(connection: Connection) -> bool:
            return connection.execute(statement).rowcount == 1

        return bool(self._commits.run(work))
