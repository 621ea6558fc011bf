"""The learned part: how unlikely a sign-in is for honest people, and which signals make it so.

For each signal the share of honest sign-ins at each level was counted, given how long the person is known and
one other signal that explains it (a known device is often on a new network, a new one seldom). A sign-in's
surprise is the sum of the negative logarithms of those shares, each above that of the likeliest level:
what is as usual adds nothing. Counts add up, so learning goes on where it stopped.

What is judged by the limit is the surprise and the points of the rules together: either alone finds less.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

from ...errors import Invalid
from . import rules
from .signals import Signals

# 2: the limit is one of surprise and points together
VERSION = 2
# each signal, and the one that explains it besides the maturity of the history
GIVEN = {
    "device": "",
    "network": "device",
    "country": "network",
    "travel": "country",
    "agent": "device",
    "hour": "",
    "account_failures": "device",
    "address_failures": "network",
    "neighbours": "network",
    "anonymising": "network",
    "client": "",
    "amount": "client",
}
# levels that add nothing, however rare they are; that a position is not known, other signals say already
PLAIN = frozenset({"first", "usual", "no"})
PLAIN_OF = {
    "device": frozenset({"known"}),
    "country": frozenset({"seen"}),
    "agent": frozenset({"seen"}),
    "client": frozenset({"seen"}),
    "travel": frozenset({"none", "possible", "unknown"}),
    "account_failures": frozenset({"none"}),
    "address_failures": frozenset({"none"}),
    "neighbours": frozenset({"none"}),
    "amount": frozenset({"none", "unknown"}),
    "hour": frozenset({"unknown"}),
}
# what happens to everybody now and then, whoever they are, counts less than where they are and on what
CIRCUMSTANCE = 0.4
CIRCUMSTANCES = frozenset({"hour", "client", "amount", "account_failures", "address_failures", "neighbours"})
# so many sign-ins of each level that nobody has seen: what is new is unlikely, not impossible
SMOOTHING = 0.5
# of honest sign-ins so many are below the limit
BELOW = 0.99
# how many points weigh as much as one nat
POINTS_A_NAT = 5.0
MOST_BYTES = 1_000_000


class ModelUnusable(Invalid):
    """The file is no model of this version; says why."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """How unlikely in nats, and what each signal that adds to it adds; the heaviest first."""

    amount: float
    moved: tuple[tuple[str, float], ...]


@dataclass
class Model:
    """Counts by signal, by the level of what explains it, by level.

    A sign-in whose ``weight`` is above ``limit`` is unlikely.
    """

    counts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    learned: int = 0
    limit: float = float("inf")

    def learn(self, signals: Signals) -> None:
        """One more honest sign-in is known."""
        levels = signals.levels()
        for name in GIVEN:
            seen = self.counts.setdefault(name, {}).setdefault(_context(name, levels), {})
            seen[levels[name]] = seen.get(levels[name], 0) + 1
        self.learned += 1

    def surprise(self, signals: Signals) -> Surprise:
        """How unlikely ``signals`` are."""
        levels, moved = signals.levels(), []
        for name in GIVEN:
            amount = self._unlikely(name, _context(name, levels), levels[name])
            if amount > 0.05:
                moved.append((name, round(amount, 2)))
        moved.sort(key=lambda item: (-item[1], item[0]))
        return Surprise(round(sum(amount for _, amount in moved), 2), tuple(moved))

    def unlikely(self, signals: Signals) -> bool:
        """Whether more should be asked, whatever the rules alone say."""
        return weight(rules.score(signals).points, self.surprise(signals)) > self.limit

    def _unlikely(self, name: str, given: str, level: str) -> float:
        if level in PLAIN or level in PLAIN_OF.get(name, ()):
            return 0.0
        seen = self.counts.get(name, {}).get(given, {})
        if not seen:
            # what explains it was never seen either: the signal is judged by itself
            seen = self._whole(name)
        most = max(seen.values(), default=0)
        share = CIRCUMSTANCE if name in CIRCUMSTANCES else 1.0
        return share * max(0.0, log((most + SMOOTHING) / (seen.get(level, 0) + SMOOTHING)))

    def _whole(self, name: str) -> dict[str, float]:
        total: dict[str, float] = {}
        for seen in self.counts.get(name, {}).values():
            for level, count in seen.items():
                total[level] = total.get(level, 0) + count
        return total

    def write(self, path: Path) -> None:
        """The model rests in ``path``, which others see whole or not at all."""
        told = {"version": VERSION, "learned": self.learned, "limit": self.limit, "counts": self.counts}
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)


def weight(points: int, surprise: Surprise) -> float:
    """What the points of the rules and a surprise come to together, in nats."""
    return points / POINTS_A_NAT + surprise.amount


def _context(name: str, levels: dict[str, str]) -> str:
    return f"{levels['maturity']} {levels.get(GIVEN[name], '')}".strip()


def train(sign_ins: Iterable[Signals], below: float = BELOW) -> Model:
    """What ``sign_ins`` taught; the limit is where the share ``below`` of them ends.

    Attacks that succeeded are among them and were not noticed: they are few beside the honest ones.
    """
    model, known = Model(), list(sign_ins)
    for signals in known:
        model.learn(signals)
    if known:
        amounts = sorted(weight(rules.score(s).points, model.surprise(s)) for s in known)
        model.limit = amounts[min(len(amounts) - 1, int(below * len(amounts)))]
    return model


def read(path: Path) -> Model:
    """The model in ``path``; ModelUnusable if it is none of this version."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelUnusable(f"{path.name} is too large for a model.")
        told = json.loads(path.read_text(encoding="utf-8"))
        return _of(told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelUnusable(f"{path.name} cannot be read as a model: {type(error).__name__}.") from error


def _of(told: Any) -> Model:
    if told["version"] != VERSION:
        raise ValueError("another version")
    counts = {
        str(name): {
            str(given): {str(level): float(count) for level, count in seen.items()}
            for given, seen in by.items()
        }
        for name, by in told["counts"].items()
    }
    every = [count for by in counts.values() for seen in by.values() for count in seen.values()]
    if not set(counts) <= set(GIVEN) or not all(0 <= count < float("inf") for count in every):
        raise ValueError("counts of signals that this version does not know")
    limit = float(told["limit"])
    if not limit >= 0:
        raise ValueError("no limit")
    return Model(counts, int(told["learned"]), limit)
