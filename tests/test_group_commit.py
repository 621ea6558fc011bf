"""Group commit: shared transactions in which everybody still gets his own answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, create_engine, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from authserver.app import services_of
from authserver.db import Database, Insert, table_of
from authserver.errors import Unavailable
from authserver.group_commit import GroupCommit
from authserver.models.audit_event import AuditEvent
from authserver.models.replay import Replay

replays = table_of(Replay)
_TEXTS = (
    "event", "outcome", "reason", "user_id", "client_id", "actor", "client_ip", "request_id", "session_id",
    "resource", "worker", "mac",
)  # fmt: skip


def row(number: int) -> Callable[[Connection], int]:
    """Work that inserts a row of its own and gives its number."""

    def work(connection: Connection) -> int:
        values = {"purpose": "test", "value": number.to_bytes(32), "expires_at": 1}
        connection.execute(insert(replays).values(values))
        return number

    return work


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(replays)).scalar_one()


@contextmanager
def commits_of(database: Database) -> Any:
    """The list grows by one with each commit on ``database``."""
    seen: list[object] = []

    def note(connection: Connection) -> None:
        seen.append(connection)

    event.listen(database.engine, "commit", note)
    yield seen
    event.remove(database.engine, "commit", note)


def gather(commits: GroupCommit, works: list[Callable[[Connection], Any]]) -> list[Any]:
    """What each of ``works`` gave or raised, all of them queued behind one that is being written."""
    entered, release = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        entered.set()
        release.wait(10)

    def answer(work: Callable[[Connection], Any]) -> Any:
        try:
            return commits.run(work)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works) + 1) as pool:
        first = pool.submit(commits.run, slow)
        assert entered.wait(10)
        answers = [pool.submit(answer, work) for work in works]
        while len(commits._queue) < len(works):
            threading.Event().wait(0.001)
        release.set()
        first.result(10)
        return [future.result(10) for future in answers]


def test_all_who_wait_are_written_in_one_transaction_and_each_gets_its_own_value(app: Flask) -> None:
    database = services_of(app).database
    commits = GroupCommit(database)
    with commits_of(database) as seen:
        assert gather(commits, [row(n) for n in range(20)]) == list(range(20))
    assert len(seen) == 2
    assert count(database) == 20


def test_nobody_is_answered_before_the_commit(app: Flask) -> None:
    database = services_of(app).database
    commits = GroupCommit(database)
    seen_by_others: list[int] = []

    def ask(number: int) -> None:
        commits.run(row(number))
        seen_by_others.append(count(database))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen_by_others) == 8
    assert all(number >= 1 for number in seen_by_others)
    assert count(database) == 8


def test_one_that_fails_takes_nobody_with_it(app: Flask) -> None:
    database = services_of(app).database
    commits = GroupCommit(database)

    def broken(connection: Connection) -> None:
        row(99)(connection)
        raise ZeroDivisionError

    answers = gather(commits, [row(1), broken, row(2), row(1), row(3)])
    assert answers[0] == 1
    assert isinstance(answers[1], ZeroDivisionError)
    assert answers[2] == 2
    assert isinstance(answers[3], Exception)
    assert answers[4] == 3
    # what the broken piece had written before it failed is not there
    assert count(database) == 3
    assert commits.run(row(4)) == 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_lost_in_a_batch_is_told_to_all_of_it_and_nothing_is_tried_twice(app: Flask) -> None:
    """The batch may have been committed unheard: writing it again could write it twice."""
    database = services_of(app).database
    commits = GroupCommit(database)
    ran: list[int] = []

    def note(number: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            ran.append(number)
            return row(number)(connection)

        return work

    def cut(connection: Connection) -> None:
        own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with database.engine.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({own})"))
        row(7)(connection)

    answers = gather(commits, [note(1), note(2), cut])
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert ran == [1, 2]
    assert count(database) == 0
    assert commits.run(row(5)) == 5


def test_an_unavailable_database_is_told_and_the_next_write_finds_it_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = services_of(app).database
    commits = GroupCommit(database)

    @contextmanager
    def gone() -> Any:
        raise Unavailable("database_write")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", gone)
        with pytest.raises(Unavailable):
            commits.run(row(1))
    assert commits.run(row(2)) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_inserts_tell_of_lost_connections_once_and_then_have_new_ones(app: Flask) -> None:
    services = services_of(app)
    database, commits = services.database, GroupCommit(services.database)
    insert_row = commits.insert_of(Replay, ("purpose", "value", "expires_at"))

    def add(number: int) -> None:
        commits.add(insert_row, {"purpose": "test", "value": number.to_bytes(32), "expires_at": 1})

    add(1)
    with database.reading() as one, database.reading() as another:
        # several connections rest in the pool, all of them lost at once
        own = [c.execute(text("SELECT pg_backend_pid()")).scalar_one() for c in (one, another)]
    other = create_engine(database.engine.url)
    with other.connect() as connection:
        for pid in own:
            connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
    other.dispose()
    with pytest.raises(Unavailable):
        add(2)
    add(3)
    with pytest.raises(IntegrityError):
        add(3)
    assert count(database) == 2


def test_rows_that_the_database_numbers_go_in_one_statement_too(app: Flask) -> None:
    database = services_of(app).database
    event_row = dict.fromkeys(_TEXTS, "x") | {"at_ms": 1, "detail": "{}"}
    database.insert(Insert(database.engine, AuditEvent, list(event_row)), [event_row] * 3)
    with database.reading() as connection:
        made = select(func.count()).where(table_of(AuditEvent).c.event == "x")
        assert connection.execute(made).scalar_one() == 3
