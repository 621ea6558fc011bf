"""``python -m benchmarks``: measure, print, and write JSON if asked."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import costs, machine, table
from .cases import FLOOR, ISSUER, Case
from .measure import Run, measure
from .subjects import Subject, floor, on_postgresql, on_sqlite, postgresql_missing, server_described

NAMES = tuple(case.name for case in ISSUER)
# long enough that the start of the load, and what a process does by the clock, hardly count
ORDINARY = Run(rounds=5, requests=2000, connections=8)
QUICK = Run(rounds=1, requests=150, connections=8)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every answer was as expected, 1 otherwise."""
    options = _options(arguments)
    base = QUICK if options.quick else ORDINARY
    run = Run(
        options.rounds or base.rounds,
        options.requests or base.requests,
        options.connections or base.connections,
    )
    began = time.monotonic()
    missing = "left out by --sqlite" if options.sqlite else postgresql_missing()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authserver-bench-")))
        _tell("starting the servers")
        subjects = [stack.enter_context(floor(directory)), stack.enter_context(on_sqlite(directory))]
        if missing is None:
            subjects.append(stack.enter_context(on_postgresql(directory)))
        result = table.rows(measure(_plan(subjects, options.only), run, _tell))
        spent = [] if options.only else costs.counted(directory / "counted")
    seconds = time.monotonic() - began
    _show(result, spent, run, seconds, missing)
    if options.json:
        told = {"machine": machine.described(), "run": vars(run), "seconds": seconds}
        options.json.write_text(json.dumps(told | {"cases": result, "costs": spent}, indent=1) + "\n")
    return 1 if any(row["unlike"] for row in result) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU time of each hot path beside an empty and a signing Flask view, in one run.",
    )
    parser.add_argument("--quick", action="store_true", help="a rough look, in seconds")
    parser.add_argument("--rounds", type=_positive, help=f"{ORDINARY.rounds} if left out")
    parser.add_argument("--requests", type=_positive, help=f"a case and round; {ORDINARY.requests}")
    parser.add_argument("--connections", type=_positive, help=f"{ORDINARY.connections} if left out")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--sqlite", action="store_true", help="leave PostgreSQL and Redis out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample here")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _plan(subjects: list[Subject], only: list[str] | None) -> list[tuple[Subject, Case]]:
    plan = [(subjects[0], case) for case in FLOOR]
    plan += [(subject, case) for subject in subjects[1:] for case in ISSUER if not only or case.name in only]
    return plan


def _show(
    result: list[dict[str, Any]], spent: list[dict[str, Any]], run: Run, seconds: float, missing: str | None
) -> None:
    print(f"{machine.described()}; {server_described()}")
    print(
        f"{run.rounds} rounds, {run.requests} requests a case, {run.connections} connections, "
        f"{seconds:.0f} s; medians over rounds, ratios by round\n"
    )
    print(table.printed(result))
    if missing:
        print(f"\nNot measured on PostgreSQL + Redis: {missing}")
    if spent:
        print(f"\nOne warm request on SQLite:\n\n{costs.printed(spent)}")
    unlike = sum(row["unlike"] for row in result)
    if unlike:
        print(f"\n{unlike} answers had another status than expected, or none: these figures do not count.")


def _tell(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
