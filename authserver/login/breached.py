"""Screening passwords against those known from breaches (NIST SP 800-63B-4 §3.1.1.2), without any network."""

from __future__ import annotations

import logging
from pathlib import Path

from .breach_filter import BreachFilter, FilterRefused

log = logging.getLogger(__name__)


class Breached:
    """The filter at ``path`` as it is there now; with no path nothing is known."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held: tuple[object, BreachFilter] | None = None

    def __contains__(self, password: str) -> bool:
        """Whether ``password`` is in the list. A filter that was replaced counts from the next look on."""
        filter_ = self.open()
        return filter_ is not None and password in filter_

    def verify(self) -> None:
        """The filter is whole, if one is set; FilterRefused otherwise. Reads all of it."""
        if filter_ := self.open():
            filter_.verify()

    def open(self) -> BreachFilter | None:
        """The newest filter that can be used; FilterRefused if none ever could."""
        if self._path is None:
            return None
        held = self._held
        state = _state(self._path)
        if held is not None and held[0] == state:
            return held[1]
        try:
            self._held = (state, BreachFilter(self._path))
        except FilterRefused as error:
            if held is None:
                raise
            # once for each state of the file: what is mapped goes on
            log.error("an older filter of breached passwords goes on: %s", error)
            self._held = (state, held[1])
        return self._held[1]


def _state(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
