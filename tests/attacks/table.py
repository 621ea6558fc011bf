"""docs/attack-cases.md: each case and its verdict; ``PYTHONPATH=tests python -m attacks.table`` writes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .corpus import SHARED, Case, cases

TARGET = Path(__file__).resolve().parents[2] / "docs" / "attack-cases.md"
HEAD = """\
# Attack cases

Made by `PYTHONPATH=tests .venv/bin/python -m attacks.table` from `tests/attacks/cases/`; a test fails when
this page is out of date. *Green* is a case that runs in every run of the suite, on SQLite and on PostgreSQL
or against server processes, with the invariants of `tests/attacks/invariants.py` checked after it. Ids with
an x are siblings of this project's own.

"""


def verdict(case: Case) -> str:
    """How a case stands."""
    if case.waits_for:
        return f"waits for {case.waits_for}"
    return f"green; waits: {case.part_waits}" if case.part_waits else "green"


def render() -> str:
    """The page."""
    text = HEAD + "| area | green | green in part | waits |\n|---|---|---|---|\n"
    for area in SHARED:
        counts = Counter(
            "waits" if c.waits_for else "part" if c.part_waits else "green" for c in cases() if c.area == area
        )
        text += f"| {area} | {counts['green']} | {counts['part']} | {counts['waits']} |\n"
    text += "\n| id | area | case | verdict |\n|---|---|---|---|\n"
    for case in cases():
        text += f"| {case.id} | {case.area} | {case.title} | {verdict(case)} |\n"
    return text


if __name__ == "__main__":
    TARGET.write_text(render(), "utf-8")
