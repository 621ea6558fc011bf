"""A replay store in memory, for an API of exactly one process."""

import fcntl
import heapq
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import time

from . import MARGIN_SECONDS


class MemoryReplayStore:
    """A replay store that dies with its process and refuses to share its work with a second one.

    It holds an exclusive lock on the file `lock_path`: RuntimeError if another store has it. A forked
    child gets RuntimeError at its first claim.
    """

    def __init__(self, lock_path: Path, *, clock: Callable[[], float] = time) -> None:
        self._lock_file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            raise RuntimeError("another process keeps its replay state in memory") from None
        self._pid = os.getpid()
        self._clock = clock
        self._lock = Lock()
        self._keys: set[str] = set()
        self._ends: list[tuple[int, str]] = []

    def claim(self, key: str, expires_at: int) -> bool:
        """Tell whether this is the first claim of `key`; RuntimeError in a forked process."""
        if os.getpid() != self._pid:
            raise RuntimeError("a replay store in memory serves one process")
        with self._lock:
            now = self._clock()
            while self._ends and self._ends[0][0] < now:
                self._keys.discard(heapq.heappop(self._ends)[1])
            if expires_at <= now or key in self._keys:
                return False
            self._keys.add(key)
            heapq.heappush(self._ends, (expires_at + MARGIN_SECONDS, key))
            return True

    def close(self) -> None:
        """Forget everything and let another store have the lock."""
        with self._lock:
            self._keys.clear()
            self._ends.clear()
            os.close(self._lock_file)
