"""The rules: points for what stands out, each with the name under which the audit log has it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from .signals import Signals

# (signal, level) -> (reason, points, points on a known device). What a journey explains counts less there,
# and what went wrong on the person's own network is most likely their own mistake.
POINTS = MappingProxyType(
    {
        ("device", "lost"): ("new_device", 15, 0),
        ("device", "none"): ("no_device", 8, 0),
        ("device", "mismatch"): ("device_mismatch", 25, 25),
        ("network", "near"): ("near_network", 4, 1),
        ("network", "new"): ("new_network", 15, 6),
        ("network", "unknown"): ("unknown_network", 15, 15),
        ("country", "new"): ("new_country", 25, 12),
        ("country", "unknown"): ("unknown_country", 4, 2),
        ("travel", "fast"): ("fast_travel", 10, 5),
        ("travel", "impossible"): ("impossible_travel", 60, 30),
        ("agent", "new"): ("new_agent", 12, 12),
        ("agent", "unknown"): ("unknown_agent", 8, 8),
        ("hour", "odd"): ("odd_hour", 6, 3),
        ("account_failures", "two"): ("account_failures", 5, 2),
        ("account_failures", "more"): ("account_failures", 12, 5),
        ("address_failures", "some"): ("address_failures", 12, 5),
        ("address_failures", "many"): ("address_failures", 25, 12),
        ("neighbours", "many"): ("many_people", 12, 6),
        ("anonymising", "yes"): ("anonymising_network", 15, 8),
        ("client", "new"): ("new_client", 2, 1),
        ("amount", "high"): ("high_amount", 6, 4),
    }
)
# nobody has a history at first: what has to be remembered to stand out cannot
FIRST = "first"
AT_FIRST = frozenset({"no_device"})
AT_HOME = frozenset({"usual", "seen"})
FAILURES = frozenset({"account_failures", "address_failures"})


@dataclass(frozen=True, slots=True)
class Score:
    """The sum of the points, and of each reason its own; the heaviest first."""

    points: int
    reasons: tuple[tuple[str, int], ...]


def score(signals: Signals) -> Score:
    """The points of ``signals``."""
    known, at_home = signals.device == "known", signals.network in AT_HOME
    found = []
    for name, level in signals.levels().items():
        reason, points, on_known = POINTS.get((name, level), ("", 0, 0))
        if signals.maturity == FIRST and reason in AT_FIRST:
            continue
        if weight := on_known if known or (at_home and name in FAILURES) else points:
            found.append((reason, weight))
    found.sort(key=lambda item: (-item[1], item[0]))
    return Score(sum(weight for _, weight in found), tuple(found))
