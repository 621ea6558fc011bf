"""Logs: one JSON object a line on standard error, each with the id of the request it belongs to."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any

from . import context

# What a record may add with ``extra={"fields": {...}}``; everything else of a record is left out.
FIELDS = "fields"
FLOORS = {
    "authlib": logging.INFO,
    "joserfc": logging.INFO,
    "sqlalchemy": logging.WARNING,
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


class JSONLines(logging.Formatter):
    """A record as one line of JSON; a message that is JSON already (the audit log's) passes as it is."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "authserver.audit":
            return str(record.msg)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        caller = context.current.get()
        if caller.request_id:
            line["request_id"] = caller.request_id
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            # type and place tell an operator what broke; the text of an error may hold what a caller sent
            kind, _, trace = record.exc_info
            line["exception"] = getattr(kind, "__name__", "")
            frames = []
            while trace is not None:
                code = trace.tb_frame.f_code
                frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
                trace = trace.tb_next
            line["trace"] = frames[-12:]
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


class Lines(logging.Handler):
    """Writes each record by one system call, so that threads and workers need no lock to keep lines whole.

    What cannot be written is lost, and ``lost`` called: whoever collected the lines may have gone, and a
    request that is done keeps its answer. The audit log is in the database.
    """

    def __init__(self, file: int, lost: Callable[[], None]) -> None:
        super().__init__()
        self._file = file
        self._lost = lost

    def createLock(self) -> None:  # noqa: N802 - the base's name
        """None is needed."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """The line is with the operating system, or goes there with the others of its request."""
        try:
            data = f"{self.format(record)}\n".encode()
            held = _held.get()
            if held is None:
                self.write(data)
            else:
                held.append((self, data))
        except Exception:
            self.handleError(record)

    def write(self, data: bytes) -> None:
        """``data`` is with the operating system, or lost."""
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            self._lost()


Held = list[tuple[Lines, bytes]]
_held: ContextVar[Held | None] = ContextVar("held", default=None)


def hold() -> Token[Held | None]:
    """Lines wait from now on, until ``release``: those of one request are written by one system call."""
    return _held.set([])


def release(token: Token[Held | None]) -> None:
    """The lines since ``hold`` are written."""
    held = _held.get()
    _held.reset(token)
    if held:
        held[0][0].write(b"".join(data for _, data in held))


def configure(level: str, lost: Callable[[], None] = lambda: None) -> None:
    """This process logs JSON lines from ``level`` up; libraries that print tokens stay at INFO.

    ``lost`` is called for each write that fails.
    """
    handler: logging.Handler
    try:
        handler = Lines(sys.stderr.fileno(), lost)
    except (OSError, ValueError):
        # something stands in for standard error
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # the documented switches for what no line shows: the caller's file and line, thread and process
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Authlib prints issued tokens at DEBUG; SQL engines print parameters, httpx whole URLs at INFO.
    for name, floor in FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, logging.getLevelName(level)))
