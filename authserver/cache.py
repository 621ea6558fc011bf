"""Process caches that count only while their version was confirmed a moment ago.

A change anywhere raises a number in ``cache_version`` in its own transaction. A process asks for those
numbers when the first request comes after ``confirm_ms``: one small query a process, whatever the load.
If it fails the caches count for nothing and the answer is 503.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from sqlalchemy import Connection, select, update

from . import clock
from .db import Database
from .models.lease import CacheVersion

V = TypeVar("V")


def raise_version(connection: Connection, name: str) -> int:
    """The cache ``name`` is out of date everywhere once this transaction commits; gives the new number.

    The row's lock orders writers, so numbers appear in the order in which their changes do.
    """
    changed = (
        update(CacheVersion)
        .where(CacheVersion.name == name)
        .values(version=CacheVersion.version + 1)
        .returning(CacheVersion.version)
    )
    return connection.execute(changed).scalar_one()


class Versions:
    """The versions of all caches as of at most ``confirm_ms`` milliseconds ago."""

    def __init__(self, database: Database, confirm_ms: int) -> None:
        self._database = database
        self._lifetime = confirm_ms / 1000
        self._lock = threading.Lock()
        self._confirmed_at = float("-inf")
        self._numbers: dict[str, int] = {}
        self._query = select(CacheVersion.name, CacheVersion.version)

    def current(self) -> dict[str, int]:
        """The numbers, asked for anew when they are too old; Unavailable when that fails."""
        if clock.monotonic() - self._confirmed_at < self._lifetime:
            return self._numbers
        with self._lock:
            # the age counts from before the query: what it read may be as old as its start
            began = clock.monotonic()
            if began - self._confirmed_at >= self._lifetime:
                with self._database.reading() as connection:
                    self._numbers = {row.name: row.version for row in connection.execute(self._query)}
                self._confirmed_at = began
        return self._numbers

    def forget(self) -> None:
        """The next ``current`` asks, whatever its age: this process has just changed something."""
        self._confirmed_at = float("-inf")


class Whole(Generic[V]):
    """A cache of one value read whole, such as all scopes."""

    def __init__(self, versions: Versions, name: str, load: Callable[[], V]) -> None:
        self._versions = versions
        self._name = name
        self._load = load
        self._lock = threading.Lock()
        self._held: tuple[int, V] | None = None

    def get(self) -> V:
        """The value as of its confirmed version."""
        version = self._versions.current()[self._name]
        held = self._held
        if held is not None and held[0] == version:
            return held[1]
        with self._lock:
            if self._held is None or self._held[0] != version:
                # read after its version was: newer content under an older number is merely read again
                self._held = (version, self._load())
            return self._held[1]

    def last(self) -> V | None:
        """The value held, however old; None if there never was one."""
        return None if self._held is None else self._held[1]


class ByKey(Generic[V]):
    """A bounded cache of single rows; on a new version only what changed is dropped."""

    def __init__(
        self,
        versions: Versions,
        name: str,
        load: Callable[[str], V | None],
        changed_since: Callable[[int], Iterable[str]],
        capacity: int = 10_000,
    ) -> None:
        self._versions = versions
        self._name = name
        self._load = load
        self._changed_since = changed_since
        self._capacity = capacity
        self._lock = threading.Lock()
        self._seen = -1
        # counts up with every drop: an older version that a slow thread brings back makes no row new
        self._drops = 0
        self._rows: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """The row of ``key`` as of its confirmed version; None when there is none (never remembered)."""
        version = self._versions.current()[self._name]
        if version != self._seen:
            self._drop_changed(version)
        row = self._rows.get(key)
        if row is not None:
            return row
        drops = self._drops
        row = self._load(key)
        with self._lock:
            # a change that came while we read must not be overwritten by what was read before it
            if row is not None and drops == self._drops:
                if len(self._rows) >= self._capacity:
                    del self._rows[next(iter(self._rows))]
                self._rows[key] = row
        return row

    def _drop_changed(self, version: int) -> None:
        with self._lock:
            if version == self._seen:
                return
            if self._seen < 0:
                self._rows.clear()
            else:
                for key in self._changed_since(self._seen):
                    self._rows.pop(key, None)
            self._seen = version
            self._drops += 1
