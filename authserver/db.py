"""The database: one engine, transactions that say whether they write, and Flask-SQLAlchemy's one import.

SQLite runs in WAL; only writers take its write lock, at BEGIN, so that none fails when it first writes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, MetaData, Table, event, exc
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import PoolProxiedConnection

from . import clock
from .errors import Unavailable
from .postgresql import CONNECT_ARGUMENTS, PATIENCE_SECONDS, Impatient, hung

# After a statement that hung, nothing is asked for so long.
SILENT_SECONDS = 1.0
# of one INSERT: both databases bound the parameters of a statement
MOST_ROWS = 500
# a parameter as the driver of PostgreSQL knows it by name
_NAMED = re.compile(r"%\((\w+)\)s")
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING)


def table_of(model: type[Base]) -> Table:
    """The table of a model, for Core statements."""
    return cast(Table, model.__table__)


def insert_once(connection: Connection, model: type[Base], values: dict[str, Any]) -> bool:
    """Whether the row is new: of all who insert the same primary key, on any worker, one is told so.

    The row that RETURNING gives is the verdict; the driver's row count of an INSERT is not reliable.
    """
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    table = table_of(model)
    statement = insert(table).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return connection.execute(statement, values).first() is not None


class Insert:
    """An INSERT whose SQL is made once and goes to the driver as it is; JSON values are given as text."""

    def __init__(self, engine: Engine, model: type[Base], columns: Sequence[str]) -> None:
        # inline: nothing is RETURNING, which would come after each row
        made = table_of(model).insert().inline().compile(engine, column_keys=list(columns))
        self._head, _, row = str(made).partition(" VALUES ")
        self._row = _NAMED.sub("%s", row)
        self._order = columns if self._row == row else _NAMED.findall(row)

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """``rows`` are inserted in one round."""
        for start in range(0, len(rows), MOST_ROWS):
            connection.exec_driver_sql(*self.statement(rows[start : start + MOST_ROWS]))

    def statement(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[Any, ...]]:
        """The one statement that inserts ``rows``, with its parameters."""
        given = tuple(row[column] for row in rows for column in self._order)
        return f"{self._head} VALUES {', '.join([self._row] * len(rows))}", given


# An OperationalError is the server gone, locked, full or read-only; the others are a broken connection.
DOWN = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)


class Database:
    """The engine of one app and the two ways to use it: ``reading`` and ``writing``."""

    def __init__(self, app: Flask) -> None:
        extension = SQLAlchemy(model_class=Base)
        extension.init_app(app)
        with app.app_context():
            self.engine: Engine = extension.engine
        self.sqlite = self.engine.dialect.name == "sqlite"
        if self.sqlite:
            event.listen(self.engine, "connect", _sqlite_connect)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            event.listen(self.engine, "do_connect", _postgresql_connect)
        self._silent_until = float("-inf")
        self._writer = self.engine.execution_options(authserver_writes=True)
        # one statement needs no BEGIN and ROLLBACK around it: two journeys to PostgreSQL less
        alone = {} if self.sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reader = self.engine.execution_options(authserver_writes=False, **alone)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading, each statement on its own; Unavailable when it cannot be had."""
        with self._fail_closed("database"), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One write transaction, committed at the end, rolled back by an exception.

        Unavailable when the database is gone, full or read-only: nothing was written then.
        """
        with self._fail_closed("database_write"), self._writer.begin() as connection:
            yield connection

    def insert(self, insert: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """``rows`` are committed; Unavailable as ``writing`` has it.

        One statement of the driver's own, which is a transaction by itself: on the hot paths the engine's
        work and two journeys for BEGIN and COMMIT would cost more than the rows.
        """
        if len(rows) > MOST_ROWS:
            with self.writing() as connection:
                insert.execute(connection, rows)
            return
        driver_error = self.engine.dialect.loaded_dbapi.Error
        with self._fail_closed("database_write"):
            pooled = None
            try:
                pooled = self.engine.raw_connection()
                with self._autocommitting(pooled) as connection:
                    connection.execute(*insert.statement(rows)).close()
            except driver_error as error:
                raise self._named(error, pooled) from error
            finally:
                if pooled is not None:
                    pooled.close()

    @contextmanager
    def _autocommitting(self, pooled: PoolProxiedConnection) -> Iterator[Any]:
        """The driver's connection, for statements that are each a transaction; SQLite's always is so."""
        connection: Any = pooled.dbapi_connection
        if self.sqlite:
            yield connection
            return
        connection.autocommit = True
        try:
            yield connection
        finally:
            if not connection.closed:
                connection.autocommit = False

    def _named(self, error: Exception, pooled: PoolProxiedConnection | None) -> BaseException:
        """The driver's ``error`` under SQLAlchemy's name; a lost connection takes the others along."""
        dialect = self.engine.dialect
        connection = None if pooled is None else pooled.dbapi_connection
        lost = dialect.is_disconnect(error, connection, None)  # type: ignore[arg-type]
        if lost and pooled is not None:
            pooled.invalidate(error)
            self.engine.dispose()
        base = dialect.loaded_dbapi.Error
        return exc.DBAPIError.instance(
            None, None, error, base, hide_parameters=True, connection_invalidated=lost, dialect=dialect
        )

    def probe(self) -> None:
        """The database can be written to now; Unavailable otherwise."""
        with self.writing() as connection:
            # changes no row, and is refused where no row may be changed
            connection.exec_driver_sql("UPDATE cache_version SET version = version WHERE name = ''")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """``writing`` with mapped objects, for management work away from the hot paths."""
        with self.writing() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.flush()

    @contextmanager
    def unhurried(self) -> Iterator[Connection]:
        """``writing`` whose statements take as long as they need: a migration of large tables."""
        with self.writing() as connection:
            if self.sqlite:
                yield connection
                return
            driver = cast(Impatient, connection.connection.driver_connection)
            for limit in ("statement_timeout", "lock_timeout"):
                connection.exec_driver_sql(f"SET LOCAL {limit} = 0")
            driver.patience = None
            try:
                yield connection
            finally:
                driver.patience = PATIENCE_SECONDS

    @contextmanager
    def _fail_closed(self, dependency: str) -> Iterator[None]:
        # whoever queued behind a statement that hung is told at once, not after a wait as long
        if clock.monotonic() < self._silent_until:
            raise Unavailable(dependency)
        try:
            yield
        except exc.DBAPIError as error:
            if hung(error.orig):
                self._silent_until = clock.monotonic() + SILENT_SECONDS
            if isinstance(error, DOWN) or error.connection_invalidated:
                raise Unavailable(dependency) from error
            raise
        except exc.TimeoutError as error:
            raise Unavailable(dependency) from error


def engine_options(url: str) -> dict[str, Any]:
    """Options for ``SQLALCHEMY_ENGINE_OPTIONS``."""
    if url.startswith("sqlite"):
        return {"pool_size": 16, "max_overflow": 16, "connect_args": {"timeout": 5}}
    return {
        "pool_size": 16,
        "max_overflow": 16,
        "pool_timeout": 3,
        # bounded waits, so that a lost database is told soon
        "connect_args": dict(CONNECT_ARGUMENTS),
    }


def _postgresql_connect(_dialect: object, _record: object, arguments: Any, options: Any) -> Impatient:
    return Impatient.connect(*arguments, **options)


def _sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("authserver_writes")
    if writes is False:
        return
    statement = "BEGIN IMMEDIATE" if writes else "BEGIN"
    driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    try:
        driver.execute(statement).close()
    except sqlite3.Error as error:
        # said to the driver itself, so that its error needs the name that SQLAlchemy would give it
        raise exc.OperationalError(statement, None, error) from error
