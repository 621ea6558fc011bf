"""Process caches: never older than their confirmation, never filled with what a change has overtaken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import Connection, event

from authserver import clock
from authserver.app import services_of
from authserver.cache import ByKey, Versions, Whole, raise_version
from authserver.db import Database
from authserver.errors import Unavailable

# What is asked here does not depend on the database; the others are asked of both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Ticking:
    """The monotonic clock of this process, to be walked."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    ticking = Ticking()
    monkeypatch.setattr(clock, "monotonic", ticking)
    return ticking


class Source:
    """Rows outside of any cache, changed together with their version as operators change them."""

    def __init__(self, database: Database, name: str = "clients") -> None:
        self.database = database
        self.name = name
        self.rows = {"a": "old", "b": "old"}
        self.changed: dict[str, int] = {}
        self.loads: list[str] = []
        self.while_loading: Callable[[], None] = lambda: None

    def change(self, key: str, value: str) -> None:
        with self.database.writing() as connection:
            version = raise_version(connection, self.name)
            self.changed[key] = version
        self.rows[key] = value

    def load(self, key: str) -> str | None:
        self.loads.append(key)
        row = self.rows.get(key)
        self.while_loading()
        return row

    def load_all(self) -> dict[str, str]:
        self.loads.append("*")
        rows = dict(self.rows)
        self.while_loading()
        return rows

    def changed_since(self, version: int) -> Iterable[str]:
        return [key for key, at in self.changed.items() if at > version]


@contextmanager
def questions_to(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(
        _c: Connection, _cursor: object, statement: str, _p: object, _context: object, _many: bool
    ) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def down(*_: object) -> Iterator[None]:
    raise Unavailable("database")


@on_sqlite
def test_within_its_time_a_cache_asks_nothing_and_after_it_asks_once(app: Flask, monotonic: Ticking) -> None:
    database = services_of(app).database
    versions, source = Versions(database, 500), Source(database)
    cache = ByKey(versions, "clients", source.load, source.changed_since)
    with questions_to(database) as seen:
        assert cache.get("a") == "old"
        assert len(seen) == 1
        for _ in range(50):
            cache.get("a")
        assert len(seen) == 1
        monotonic.at += 0.5
        threads = [threading.Thread(target=cache.get, args=("a",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 2
    assert source.loads == ["a"]


def test_a_change_is_served_at_the_latest_when_the_confirmation_is_over(
    app: Flask, monotonic: Ticking
) -> None:
    database = services_of(app).database
    versions = Versions(database, 500)
    rows, whole = Source(database), Source(database, "scopes")
    by_key = ByKey(versions, "clients", rows.load, rows.changed_since)
    all_of_it = Whole(versions, "scopes", whole.load_all)
    assert (by_key.get("a"), all_of_it.get()["a"]) == ("old", "old")
    rows.change("a", "new")
    whole.change("a", "new")
    monotonic.at += 0.499
    assert (by_key.get("a"), all_of_it.get()["a"]) == ("old", "old")
    monotonic.at += 0.001
    assert (by_key.get("a"), all_of_it.get()["a"]) == ("new", "new")


@on_sqlite
def test_the_age_counts_from_before_the_query(app: Flask, monotonic: Ticking) -> None:
    """A query that took 400 ms may have read what was true at its start."""
    database = services_of(app).database
    versions, source = Versions(database, 500), Source(database)
    cache = ByKey(versions, "clients", source.load, source.changed_since)

    def slow(*_: object) -> None:
        monotonic.at += 0.4

    event.listen(database.engine, "after_cursor_execute", slow)
    assert cache.get("a") == "old"
    event.remove(database.engine, "after_cursor_execute", slow)
    source.change("a", "new")
    monotonic.at += 0.1
    assert cache.get("a") == "new"


@on_sqlite
def test_only_what_changed_is_read_again(app: Flask) -> None:
    database = services_of(app).database
    versions, source = Versions(database, 500), Source(database)
    cache = ByKey(versions, "clients", source.load, source.changed_since)
    assert [cache.get(k) for k in "ab"] == ["old", "old"]
    source.change("a", "new")
    versions.forget()
    assert [cache.get(k) for k in "ab"] == ["new", "old"]
    assert source.loads == ["a", "b", "a"]


@on_sqlite
def test_what_does_not_exist_is_never_remembered(app: Flask) -> None:
    database = services_of(app).database
    source = Source(database)
    cache = ByKey(Versions(database, 60_000), "clients", source.load, source.changed_since)
    assert cache.get("c") is None
    source.rows["c"] = "there"
    assert cache.get("c") == "there"


@on_sqlite
def test_a_cache_by_key_holds_no_more_than_its_capacity(app: Flask) -> None:
    database = services_of(app).database
    source = Source(database)
    source.rows = {str(n): "row" for n in range(20)}
    cache = ByKey(Versions(database, 60_000), "clients", source.load, source.changed_since, capacity=5)
    for n in range(20):
        assert cache.get(str(n)) == "row"
    assert len(cache._rows) == 5
    for n in (19, 18, 17, 16, 15):
        cache.get(str(n))
    assert len(source.loads) == 20


def test_a_change_that_commits_while_a_row_is_read_is_not_overwritten_by_the_old_row(app: Flask) -> None:
    database = services_of(app).database
    versions, source = Versions(database, 60_000), Source(database)
    cache = ByKey(versions, "clients", source.load, source.changed_since)
    cache.get("b")

    def overtake() -> None:
        """The row is read; before it is kept, a change commits and another request learns of it."""
        source.while_loading = lambda: None
        source.change("a", "new")
        versions.forget()
        cache.get("b")

    source.while_loading = overtake
    cache.get("a")
    assert cache.get("a") == "new"


@on_sqlite
def test_a_change_that_commits_while_the_whole_is_read_is_read_again(app: Flask) -> None:
    database = services_of(app).database
    versions, source = Versions(database, 60_000), Source(database, "scopes")
    cache = Whole(versions, "scopes", source.load_all)

    def overtake() -> None:
        source.while_loading = lambda: None
        source.change("a", "new")

    source.while_loading = overtake
    cache.get()
    versions.forget()
    assert cache.get()["a"] == "new"


@on_sqlite
def test_a_thread_that_brings_back_an_older_version_makes_no_old_row_new(app: Flask) -> None:
    """It read the versions, slept, and goes on after others have learned of a newer one."""
    database = services_of(app).database
    versions, source = Versions(database, 60_000), Source(database)
    cache = ByKey(versions, "clients", source.load, source.changed_since)
    cache.get("b")
    older = cache._seen

    def overtake() -> None:
        source.while_loading = lambda: None
        source.change("a", "new")
        versions.forget()
        cache.get("b")
        cache._drop_changed(older)

    source.while_loading = overtake
    cache.get("a")
    # the one who asks now has the newer version in hand already
    assert cache._rows.get("a") is None
    assert cache.get("a") == "new"


@on_sqlite
def test_when_the_versions_cannot_be_had_nothing_counts(
    app: Flask, monotonic: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = services_of(app).database
    versions, rows, whole = Versions(database, 500), Source(database), Source(database, "scopes")
    by_key = ByKey(versions, "clients", rows.load, rows.changed_since)
    all_of_it = Whole(versions, "scopes", whole.load_all)
    assert all_of_it.last() is None
    by_key.get("a")
    all_of_it.get()
    monkeypatch.setattr(database, "reading", contextmanager(down))
    assert by_key.get("a") == "old"
    monotonic.at += 0.5
    with pytest.raises(Unavailable):
        by_key.get("a")
    with pytest.raises(Unavailable):
        all_of_it.get()
    # for what is public and may be old, such as the key set
    assert all_of_it.last() == {"a": "old", "b": "old"}
    monkeypatch.undo()


def test_versions_rise_in_the_order_of_their_commits(app: Flask) -> None:
    database = services_of(app).database
    order: list[int] = []
    lock = threading.Lock()

    def change() -> None:
        for _ in range(10):
            with database.writing() as connection:
                number = raise_version(connection, "clients")
                time.sleep(0.001)
                with lock:
                    order.append(number)

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == sorted(order)
    assert len(set(order)) == 40
