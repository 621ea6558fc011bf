"""Lists that come in pages, several of them on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import request

# of each list
PER_PAGE = 10
LAST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a list, and the numbers of the pages beside it; None where there is none."""

    entries: Sequence[Any]
    number: int
    before: int | None
    after: int | None


class Turning:
    """The lists of a page at ``path``, and the addresses of their other pages."""

    def __init__(self, path: str, names: Iterable[str]) -> None:
        self._path = path
        self._numbers = {name: _number(name) for name in names}

    @property
    def here(self) -> str:
        """The address of this page, each list where it is."""
        return self._path + self._query(self._numbers)

    def to(self, name: str, number: int) -> str:
        """The address of page ``number`` of a list, the others where they are."""
        return f"{self._path}{self._query(self._numbers | {name: number})}#{name}"

    def part(self, name: str, read: Callable[[int, int], Sequence[Any]]) -> Part:
        """The page of a list that is asked for; ``read`` takes where it begins and how many to give."""
        number = self._numbers[name]
        found = read((number - 1) * PER_PAGE, PER_PAGE + 1)
        more = len(found) > PER_PAGE and number < LAST_PAGE
        before = number - 1 if number > 1 else None
        return Part(found[:PER_PAGE], number, before, number + 1 if more else None)

    @staticmethod
    def _query(numbers: dict[str, int]) -> str:
        turned = "&".join(f"{name}={number}" for name, number in numbers.items() if number > 1)
        return f"?{turned}" if turned else ""


def _number(name: str) -> int:
    """The page of a list that is asked for; the first one for anything that is no such number."""
    text = request.args.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 1
    return number if 1 <= number <= LAST_PAGE else 1
