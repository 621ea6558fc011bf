"""How well rules and model tell attacks from honest sign-ins, on labelled ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..login.risk import rules
from ..login.risk.model import Model
from ..login.risk.signals import Signals
from .stream import HONEST

# so many honest sign-ins in a hundred may be asked for more
FALSE_STEP_UPS = 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """The area under the ROC curve, and the share of attacks found at 1 % false step-ups."""

    auc: float
    found: float


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of attacker, how many, and how each way of judging does against it."""

    attacker: str
    count: int
    rules: Measured
    model: Measured
    both: Measured


@dataclass(frozen=True, slots=True)
class Practice:
    """What thresholds do: shares of honest sign-ins and of attacks that are asked for more."""

    honest_rules: float
    found_rules: float
    honest_both: float
    found_both: float


@dataclass(frozen=True, slots=True)
class Report:
    """A row for all attacks, then one for each kind; and what is served."""

    rows: list[Row]
    practice: Practice


def evaluate(sign_ins: Iterable[tuple[str, Signals]], model: Model, step_up: int) -> Report:
    """How rules and model do. Both: the points and the surprise as ``Model.weight`` puts them together."""
    scores: dict[str, list[tuple[float, float, float]]] = {}
    for label, signals in sign_ins:
        points, surprise = rules.score(signals).points, model.surprise(signals).amount
        scores.setdefault(label, []).append((points, surprise, model.weight(signals)))
    honest = scores.pop(HONEST, [])
    if not honest or not scores:
        raise ValueError("honest sign-ins and attacks are both needed")
    every = [one for many in scores.values() for one in many]
    columns = [sorted(one[place] for one in honest) for place in range(3)]

    def row(name: str, attacks: Sequence[tuple[float, float, float]]) -> Row:
        judged = [_measure(columns[place], [one[place] for one in attacks]) for place in range(3)]
        return Row(name, len(attacks), *judged)

    def share(of: Sequence[tuple[float, float, float]], limit: float) -> float:
        return sum(points >= step_up or weight > limit for points, _, weight in of) / len(of)

    alone = float("inf")
    practice = Practice(
        share(honest, alone), share(every, alone), share(honest, model.limit), share(every, model.limit)
    )
    return Report([row("all", every), *(row(name, scores[name]) for name in sorted(scores))], practice)


def _measure(honest: Sequence[float], attacks: Sequence[float]) -> Measured:
    """Of sorted ``honest`` scores; equal scores count half (Mann-Whitney)."""
    below = sum(bisect_left(honest, score) + bisect_right(honest, score) for score in attacks) / 2
    limit = threshold(honest)
    found = sum(score > limit for score in attacks)
    return Measured(below / len(honest) / len(attacks), found / len(attacks))


def threshold(honest: Sequence[float]) -> float:
    """The lowest score of sorted ``honest`` above which at most 1 % of them are."""
    return honest[len(honest) - 1 - int(FALSE_STEP_UPS * len(honest))]
