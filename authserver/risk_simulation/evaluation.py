"""How well rules and model tell attacks from honest sign-ins, on labelled ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..login.risk import rules
from ..login.risk.model import Model, weight
from ..login.risk.signals import Signals
from .stream import HONEST

# so many honest sign-ins in a hundred may be asked for more
FALSE_STEP_UPS = 0.01
# what each sign-in is measured by: points, surprise, both together
WAYS = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """The area under the ROC curve, and the share of attacks found at 1 % false step-ups."""

    auc: float
    found: float


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of attacker, how many, and how each way of judging does against it.

    ``by_rules`` and ``served`` are the shares that a server finds by its thresholds, without the model and
    with it.
    """

    attacker: str
    count: int
    rules: Measured
    model: Measured
    both: Measured
    by_rules: float
    served: float


@dataclass(frozen=True, slots=True)
class Report:
    """The rows, that of all attacks first, and the shares of honest sign-ins that a server asks for more.

    ``rules_there`` is what the rules alone would find if their threshold asked as many honest people as the
    server with its model does.
    """

    rows: list[Row]
    honest: int
    false_by_rules: float
    false_served: float
    rules_there: float

    @property
    def better(self) -> bool:
        """Whether the model with the rules finds more than the rules do at the same false step-ups."""
        whole = self.rows[0]
        return whole.both.found > whole.rules.found and whole.served > self.rules_there


@dataclass(frozen=True, slots=True)
class _Scored:
    by: tuple[float, float, float]
    ruled: bool
    served: bool


def evaluate(sign_ins: Iterable[tuple[str, Signals]], model: Model, step_up: int) -> Report:
    """How a server whose rules ask for more from ``step_up`` points does; ValueError without both labels."""
    scores: dict[str, list[_Scored]] = {}
    for label, signals in sign_ins:
        points, surprise = rules.score(signals).points, model.surprise(signals)
        by = (float(points), surprise.amount, weight(points, surprise))
        ruled = points >= step_up
        scores.setdefault(label, []).append(_Scored(by, ruled, ruled or model.unlikely(signals)))
    honest = scores.pop(HONEST, [])
    if not honest or not scores:
        raise ValueError("honest sign-ins and attacks are both needed")
    every = [one for many in scores.values() for one in many]
    columns = [sorted(one.by[way] for one in honest) for way in range(WAYS)]

    def row(name: str, attacks: Sequence[_Scored]) -> Row:
        ruled, surprised, both = (
            _measure(columns[way], [one.by[way] for one in attacks]) for way in range(WAYS)
        )
        shares = (_share([one.ruled for one in attacks]), _share([one.served for one in attacks]))
        return Row(name, len(attacks), ruled, surprised, both, *shares)

    rows = [row("all", every), *(row(name, scores[name]) for name in sorted(scores))]
    asked = _share([one.served for one in honest])
    there = _found_at(columns[0], [one.by[0] for one in every], asked)
    return Report(rows, len(honest), _share([one.ruled for one in honest]), asked, there)


def _measure(honest: Sequence[float], attacks: Sequence[float]) -> Measured:
    """Of sorted ``honest`` scores; equal scores count half (Mann-Whitney)."""
    below = sum(bisect_left(honest, score) + bisect_right(honest, score) for score in attacks) / 2
    return Measured(below / len(honest) / len(attacks), _found_at(honest, attacks, FALSE_STEP_UPS))


def _found_at(honest: Sequence[float], attacks: Sequence[float], share: float) -> float:
    """What is found when exactly ``share`` of sorted ``honest`` are asked for more.

    Whole points make many scores equal: of those at the threshold as many are asked as that takes, so that
    coarse scores are not at a disadvantage.
    """
    limit = threshold(honest, share)
    over = len(honest) - bisect_right(honest, limit)
    equal = len(honest) - over - bisect_left(honest, limit)
    part = min(1.0, (share * len(honest) - over) / equal)
    return sum(1.0 if score > limit else part * (score == limit) for score in attacks) / len(attacks)


def threshold(honest: Sequence[float], share: float = FALSE_STEP_UPS) -> float:
    """The lowest score of sorted ``honest`` above which at most ``share`` of them are."""
    return honest[max(0, len(honest) - 1 - int(share * len(honest)))]


def _share(many: Sequence[bool]) -> float:
    return sum(many) / len(many)
