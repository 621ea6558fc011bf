"""One process alone, where what it keeps in memory could not be shared with a second."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from .config import SettingsRefused

_held: list[IO[str]] = []


def hold_alone(directory: Path) -> None:
    """This process holds ``directory`` until it ends; SettingsRefused if another one does.

    A WSGI server does not tell how many workers it has. ``authserver serve`` does, and needs no lock.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = (directory / "serving.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SettingsRefused(
            [
                "Another process serves from this folder. SQLite and limits in memory are for one process: "
                "start with one worker, or set AUTHSERVER_DATABASE_URL and AUTHSERVER_REDIS_URL."
            ]
        ) from None
    _held.append(file)
