"""The rows of whole databases, read and put back by the driver: a test begins with what another one made."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

import psycopg

# a row of SQLite is a tuple, the rows of a table of PostgreSQL are what COPY writes; sequences stand under ""
Content = dict[str, Any]


def read(connection: Any) -> Content:
    """The rows of every table that has any."""
    if isinstance(connection, psycopg.Connection):
        return _copied_out(connection)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names}
    return {name: rows for name, rows in found.items() if rows}


def put(connection: Any, content: Content) -> None:
    """The tables of ``content`` hold its rows and no others, once the transaction of ``connection`` ends."""
    if isinstance(connection, psycopg.Connection):
        _copied_in(connection, content)
        return
    cursor = cast(sqlite3.Cursor, connection.cursor())
    cursor.execute("PRAGMA defer_foreign_keys = ON")
    for name, rows in content.items():
        cursor.execute(f'DELETE FROM "{name}"')
        cursor.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows)


def _copied_out(connection: psycopg.Connection[Any]) -> Content:
    content: Content = {}
    for name in tables(connection):
        with connection.cursor().copy(f'COPY "{name}" TO STDOUT') as rows:  # type: ignore[arg-type]
            if text := b"".join(bytes(part) for part in rows):
                content[name] = text
    content[""] = connection.execute(
        "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
    ).fetchall()
    return content


def _copied_in(connection: psycopg.Connection[Any], content: Content) -> None:
    # foreign keys are triggers too: rows go and come in any order
    emptied = "; ".join(f'DELETE FROM "{name}"' for name in content if name)
    connection.execute(f"SET LOCAL session_replication_role = replica; {emptied}")  # type: ignore[arg-type]
    for name, rows in content.items():
        if name and rows:
            with connection.cursor().copy(f'COPY "{name}" FROM STDIN') as filled:  # type: ignore[arg-type]
                filled.write(rows)
    for sequence in content[""]:
        connection.execute("SELECT setval(%s, %s, %s)", sequence)


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    """The names of all tables of a PostgreSQL database."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return [name for (name,) in connection.execute(query).fetchall()]
