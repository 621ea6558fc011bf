"""Every table that names a person is told to them or left out for a reason, and has a fate."""

from __future__ import annotations

import pytest

from authserver import models  # noqa: F401 - every table
from authserver.db import Base
from authserver.personal_data import tables
from authserver.personal_data.tables import TABLES, Held


def faults() -> list[str]:
    found = []
    for table in Base.metadata.sorted_tables:
        held = TABLES.get(table.name)
        names = [column.name for column in table.columns]
        if "user_id" not in names:
            continue
        if held is None:
            found.append(f"{table.name} names a person: say in personal_data/tables.py what is told of it")
            continue
        for column in names:
            if (column in held.told) == (column in held.untold):
                found.append(f"{table.name}.{column} is neither told nor left out, or both")
        if held.untold and not held.why:
            found.append(f"{table.name} leaves columns out without a reason")
        if held.erased != "removed" and not held.because:
            found.append(f"{table.name} outlives its person without a reason")
    return found + [f"{name} is no table" for name in TABLES.keys() - Base.metadata.tables.keys()]


def test_every_table_that_names_a_person_is_accounted_for() -> None:
    assert not faults(), "\n".join(faults())


def test_a_new_table_or_column_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TABLES, "session")
    monkeypatch.setitem(TABLES, "recovery_code", Held(("user_id", "used_at", "digest"), ("digest",), "x"))
    monkeypatch.setitem(TABLES, "nothing", Held((), (), "", "kept"))
    assert {fault.partition(" ")[0] for fault in faults()} == {
        "session", "recovery_code.digest", "recovery_code.created_at", "nothing",
    }  # fmt: skip


def test_nothing_secret_is_told() -> None:
    secret = {"digest", "sealed", "secret", "password_hash", "mac", "hash", "version", "detail", "reason"}
    for name, held in TABLES.items():
        assert not secret & set(held.told), name


def test_rows_go_before_those_that_they_refer_to() -> None:
    order = [table.name for table in Base.metadata.sorted_tables]
    removed = [table.name for table in tables.named("removed")]
    assert removed == sorted(removed, key=order.index, reverse=True)
    assert {"session", "totp_secret", "outbox"} <= set(removed)
