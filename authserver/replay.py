"""Values that count once. The database remembers them, so no restart and no flushed cache forgets."""

from __future__ import annotations

from . import crypto
from .db import insert_once
from .group_commit import GroupCommit
from .models.replay import Replay


class ReplayGuard:
    """Claims values; of any number of claimants, on any worker, one wins."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits

    def claim(self, purpose: str, value: str, expires_at: int) -> bool:
        """Whether this is the first use of ``value`` for ``purpose``; remembered until ``expires_at``."""
        row = {"purpose": purpose, "value": crypto.digest(value), "expires_at": expires_at}
        return bool(self._commits.run(lambda connection: insert_once(connection, Replay, row)))
