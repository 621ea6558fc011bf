"""The result as a table for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .measure import Sample, Samples, middle, ratio

HEAD = (
    "case", "x empty", "x signing", "CPU us", "of it sealing", "DB us", "Redis us", "req/s", "p50 ms",
    "p99 ms", "RSS MB", "bytes", "unlike",
)  # fmt: skip
EMPTY = ("floor", "empty view")
SIGNING = ("floor", "signing view")


def rows(samples: Samples) -> list[dict[str, Any]]:
    """One row a subject and case: medians over rounds, ratios by round."""
    result = []
    for (subject, case), taken in samples.items():
        row: dict[str, Any] = {"subject": subject, "case": case}
        for name, floor in (("to_empty", EMPTY), ("to_signing", SIGNING)):
            row[name] = round(ratio(taken, samples[floor]), 3)
        for name in Sample.__dataclass_fields__:
            row[name] = round(middle(taken, name), 3)
        row["unlike"] = sum(sample.unlike for sample in taken)
        row["rounds"] = [asdict(sample) for sample in taken]
        result.append(row)
    return result


def printed(result: list[dict[str, Any]]) -> str:
    """The table in Markdown, so that it can be pasted into a page."""
    lines = [f"| {' | '.join(HEAD)} |", f"|---|{'--:|' * (len(HEAD) - 1)}"]
    for row in result:
        name = row["case"] if row["subject"] == "floor" else f"{row['subject']}: {row['case']}"
        cells = [
            name,
            f"{row['to_empty']:.2f}",
            f"{row['to_signing']:.2f}",
            *(f"{row[key]:.0f}" for key in ("cpu", "sealing", "database", "redis", "per_second")),
            f"{row['p50']:.2f}",
            f"{row['p99']:.2f}",
            f"{row['memory']:.0f}",
            f"{row['answer_bytes']:.0f}",
            str(row["unlike"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
