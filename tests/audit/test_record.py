"""What an audit row holds, and that nothing a caller sends can bend it."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from plugins.app import Moving, World, basic

from authserver import context, logs
from authserver.audit import Entry, Event
from authserver.audit.chain import row_mac_fits
from authserver.audit.record import LATE_ROWS, cut
from authserver.errors import Unavailable
from authserver.services import Services

CALLER = context.Caller("request-1", "192.0.2.10", "agent", "POST /token")


# What is asked here does not depend on the database; the others are asked of both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def as_caller() -> Any:
    @contextmanager
    def calling(caller: context.Caller = CALLER) -> Any:
        token = context.current.set(caller)
        yield
        context.current.reset(token)

    return calling


def newest(services: Services) -> dict[str, Any]:
    return World(Flask("unused"), services).events()[-1]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the process writes to its log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONLines())
    logger = logging.getLogger("authserver.audit")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    yield lambda: stream.getvalue().splitlines()
    logger.manager._clear_cache()  # type: ignore[attr-defined]


def test_a_row_says_what_happened_to_whom_from_where_and_who_served(
    services: Services, as_caller: Any, moving_clock: Moving
) -> None:
    with as_caller():
        entry = Entry(
            Event.TOKEN_REJECTED, "denied", "scope", client_id="svc1", detail={"scope": "a", "n": 1}
        )
        services.audit.record(entry)
    row = newest(services)
    assert row.pop("id") > 0
    assert row.pop("mac").startswith("k1.")
    assert row == {
        "at_ms": int(moving_clock.at * 1000),
        "event": "token.rejected",
        "outcome": "denied",
        "reason": "scope",
        "user_id": "",
        "client_id": "svc1",
        "actor": "client:svc1",
        "client_ip": "192.0.2.10",
        "request_id": "request-1",
        "session_id": "",
        "resource": "POST /token",
        "worker": f"{socket.gethostname()}:{os.getpid()}",
        "detail": {"scope": "a", "n": 1},
        "seq": None,
        "hash": None,
    }


@pytest.mark.parametrize(
    ("entry", "caller", "actor"),
    [
        ({}, context.NOBODY, "system"),
        ({}, CALLER, "anonymous"),
        ({"client_id": "svc1"}, CALLER, "client:svc1"),
        ({"client_id": "svc1", "user_id": "u1"}, CALLER, "user:u1"),
        ({"client_id": "svc1"}, context.Caller("cli.1", "", actor="operator:root"), "operator:root"),
        ({"actor": "job:purge"}, CALLER, "job:purge"),
    ],
)
@on_sqlite
def test_the_actor_is_the_nearest_one_known(
    services: Services, as_caller: Any, entry: dict[str, str], caller: context.Caller, actor: str
) -> None:
    with as_caller(caller):
        services.audit.record(Entry(Event.AUDIT_READ, **entry))  # type: ignore[arg-type]
    assert newest(services)["actor"] == actor


def test_hostile_fields_are_cut_to_printable_ascii_and_stay_tellable_apart(world: World) -> None:
    long_ids = ["a" * 5000 + end for end in "xy"]
    hostile = [
        *long_ids,
        "line\nbreak",
        "nul\x00byte",
        "\u202eesrever",
        "é" * 300,
        '"};DROP TABLE--',
        "\ud800",
    ]
    for client_id in hostile:
        world.services.audit.record(Entry(Event.CLIENT_AUTH_FAILED, "denied", "test", client_id=client_id))
    rows = [row for row in world.events("client.auth.failed") if row["reason"] == "test"]
    stored = [row["client_id"] for row in rows]
    assert len(set(stored)) == len(hostile)
    for row in rows:
        assert all(len(row[name]) <= 128 for name in ("client_id", "actor"))
        assert row["client_id"].isascii()
        assert row["client_id"].isprintable()
        assert row_mac_fits(world.services.master, row)
    assert stored[2:5] == [r"line\nbreak", r"nul\x00byte", r"\u202eesrever"]


def test_cut_keeps_what_fits_and_marks_what_does_not() -> None:
    assert cut("svc1", 128) == "svc1"
    assert cut("a" * 128, 128) == "a" * 128
    long = cut("a" * 129, 128)
    assert len(long) == 128
    assert long.startswith("a" * 115 + "~")
    assert cut("a" * 130, 128) != long
    assert cut("\t", 10) == r"\t"


@on_sqlite
def test_what_a_caller_sends_over_http_reaches_no_row_unbent(world: World) -> None:
    secret = "a-secret-that-nobody-may-read"
    world.post(
        "/token",
        headers={"Authorization": basic("x" * 2000, secret), "User-Agent": "a\tb"},
        form={"grant_type": "client_credentials"},
    )
    world.send("GET", "/" + "é" * 500, query="token=" + secret)
    text = json.dumps(world.events(), default=str)
    assert secret not in text
    (row,) = world.events("client.auth.failed")
    assert len(row["client_id"]) == 128
    (row,) = world.events("http.rejected")
    assert len(row["resource"]) <= 200
    assert row["resource"].startswith(r"GET /\xc3\xa9")


def test_a_mac_covers_every_column_that_says_something(services: Services) -> None:
    services.audit.record(Entry(Event.AUDIT_READ, detail={"list": [1, 2], "text": "é\u2028"}))
    row = newest(services)
    assert row_mac_fits(services.master, row)
    for name, value in row.items():
        if name in ("id", "seq", "hash"):
            continue
        other = value + 1 if isinstance(value, int) else {"other": 1} if name == "detail" else f"{value}x"
        assert not row_mac_fits(services.master, row | {name: other}), name
    for mac in ("", "k1", "k1.", "k1..", "k9" + row["mac"][2:], "k1.nonce." + row["mac"].split(".")[2]):
        assert not row_mac_fits(services.master, row | {"mac": mac}), mac


@on_sqlite
def test_the_same_event_twice_is_two_rows_with_two_macs(services: Services, moving_clock: Moving) -> None:
    for _ in range(2):
        services.audit.record(Entry(Event.AUDIT_READ))
    one, other = World(Flask("unused"), services).events("audit.read")
    assert one["at_ms"] == other["at_ms"]
    assert one["mac"] != other["mac"]


@on_sqlite
def test_the_log_line_says_what_the_row_says(services: Services, as_caller: Any, lines: Any) -> None:
    with as_caller():
        services.audit.record(Entry(Event.TOKEN_ISSUED, client_id="a\nb", detail={"jti": "1"}))
    (line,) = lines()
    told, row = json.loads(line), newest(services)
    assert told == {name: row[name] for name in told}
    assert set(told) == {
        "at_ms", "event", "outcome", "client_id", "actor", "client_ip", "request_id", "resource",
        "worker", "detail",
    }  # fmt: skip


def test_an_event_in_a_transaction_that_fails_is_no_row(services: Services) -> None:
    before = len(World(Flask("unused"), services).events())
    with pytest.raises(ZeroDivisionError), services.database.writing() as connection:
        services.audit.record_in(connection, Entry(Event.AUDIT_READ))
        raise ZeroDivisionError
    assert len(World(Flask("unused"), services).events()) == before


def lost(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def gone() -> Any:
        raise Unavailable("database_write")
        yield

    monkeypatch.setattr(services.database, "writing", gone)
    monkeypatch.setattr(services.database, "insert", lambda *_: gone().__enter__())


@on_sqlite
def test_what_cannot_be_written_is_not_recorded_in_silence(
    services: Services, monkeypatch: pytest.MonkeyPatch, lines: Any
) -> None:
    with monkeypatch.context() as patch:
        lost(services, patch)
        with pytest.raises(Unavailable):
            services.audit.record(Entry(Event.TOKEN_ISSUED))
    assert lines() == []


def test_late_rows_wait_in_order_and_are_written_once_when_the_database_is_back(
    services: Services, monkeypatch: pytest.MonkeyPatch, as_caller: Any, moving_clock: Moving, lines: Any
) -> None:
    with monkeypatch.context() as patch, as_caller():
        lost(services, patch)
        for n in range(3):
            services.audit.record_late(Entry(Event.DEPENDENCY_FAILED, "failed", "database", detail={"n": n}))
        assert len(lines()) == 3
        for _ in range(2):
            with pytest.raises(Unavailable):
                services.audit.flush_late()
    at = moving_clock.at
    moving_clock.walk(60)
    for _ in range(2):
        services.audit.flush_late()
    rows = World(Flask("unused"), services).events("dependency.failed")
    assert [row["detail"]["n"] for row in rows] == [0, 1, 2]
    # as they were when it happened
    assert {row["at_ms"] for row in rows} == {int(at * 1000)}
    assert {row["request_id"] for row in rows} == {"request-1"}
    assert all(row_mac_fits(services.master, row) for row in rows)
    assert len(lines()) == 3


@on_sqlite
def test_of_too_many_late_rows_the_newest_are_kept(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(LATE_ROWS + 5):
        services.audit.record_late(Entry(Event.DEPENDENCY_FAILED, "failed", "database", detail={"n": n}))
    written: list[int] = []
    monkeypatch.setattr(services.audit, "_write", lambda row: written.append(row["detail"]["n"]))
    services.audit.flush_late()
    assert written == list(range(5, LATE_ROWS + 5))
