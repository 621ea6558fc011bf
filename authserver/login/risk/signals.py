"""What stands out about a sign-in beside the person's own history: a few named levels.

``first`` is said where there is no history to compare with, ``unknown`` where nobody could tell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import asin, cos, radians, sin, sqrt

from .history import Attempt, History, Past, Place

EARTH_KM = 6371.0
# positions are rounded to degrees, and databases err: so far apart is nowhere else yet
NEAR_KM = 300.0
# an airliner from door to door, and what nobody does
FAST_KMH = 250.0
IMPOSSIBLE_KMH = 1000.0
# habits are read from so many sign-ins or more
HABIT = 10
# of a person's sign-ins so many are within two hours of an hour that is usual, or rare
USUAL_SHARE, RARE_SHARE = 0.15, 0.03
HOURS = 24
# times the most that the person paid
HIGH_AMOUNT = 2.0


@dataclass(frozen=True, slots=True)
class Signals:
    """The levels, one for each thing that is looked at."""

    maturity: str  # first young mature
    device: str  # known none lost mismatch: lost where the person has had known devices
    network: str  # first usual seen near new unknown
    country: str  # first seen new unknown
    travel: str  # first none possible fast impossible unknown
    agent: str  # first seen new unknown
    hour: str  # usual rare odd unknown
    account_failures: str  # none one two more
    address_failures: str  # none few some many
    neighbours: str  # none few many
    anonymising: str  # no yes unknown
    client: str  # first seen new
    amount: str  # none usual high unknown

    def levels(self) -> dict[str, str]:
        """Every level by its name."""
        return asdict(self)


def observe(attempt: Attempt, history: History) -> Signals:
    """The signals of ``attempt`` after ``history``."""
    past = history.past
    return Signals(
        maturity="first" if not past else "young" if len(past) < HABIT else "mature",
        device=_device(attempt, past),
        network=_network(attempt.place, past),
        country=_country(attempt.place, past),
        travel=_travel(attempt, past),
        agent=_seen(attempt.agent, [one.agent for one in past]),
        hour=_hour(attempt.at, past),
        account_failures=_step(attempt.account_failures, (0, "none"), (1, "one"), (2, "two")) or "more",
        address_failures=_step(attempt.address_failures, (0, "none"), (3, "few"), (9, "some")) or "many",
        neighbours=_step(attempt.neighbours, (0, "none"), (2, "few")) or "many",
        anonymising={None: "unknown", True: "yes", False: "no"}[attempt.place.anonymising],
        client=_seen(attempt.client, [one.client for one in past]),
        amount=_amount(attempt.amount, [one.amount for one in past if one.amount is not None]),
    )


def kilometres(one: Place, other: Place) -> float | None:
    """How far apart they are on a globe (haversine); None where one is not known."""
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return None
    north, south = radians(one.latitude), radians(other.latitude)
    high = sin((south - north) / 2) ** 2
    wide = cos(north) * cos(south) * sin(radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(high + wide)))


def _device(attempt: Attempt, past: tuple[Past, ...]) -> str:
    if attempt.device == "none" and any(one.trusted for one in past):
        return "lost"
    return attempt.device


def _network(place: Place, past: tuple[Past, ...]) -> str:
    if not past:
        return "first"
    if not place.network:
        return "unknown"
    times = sum(one.place.network == place.network for one in past)
    if times:
        return "usual" if times * 10 >= len(past) else "seen"
    return "near" if any(one.place.wide == place.wide for one in past) else "new"


def _country(place: Place, past: tuple[Past, ...]) -> str:
    if not past:
        return "first"
    known = [one.place.country for one in past if one.place.country]
    if not place.country or not known:
        return "unknown"
    return "seen" if place.country in known else "new"


def _travel(attempt: Attempt, past: tuple[Past, ...]) -> str:
    """How fast the person would have come from where they were last. An exit's position tells nothing."""
    if not past:
        return "first"
    if attempt.place.anonymising:
        return "unknown"
    last = next((one for one in past if not one.place.anonymising and one.place.latitude is not None), None)
    far = None if last is None else kilometres(last.place, attempt.place)
    if last is None or far is None:
        return "unknown"
    if far <= NEAR_KM:
        return "none"
    speed = (far - NEAR_KM) / max(1 / 60, (attempt.at - last.at) / 3600)
    if speed >= IMPOSSIBLE_KMH:
        return "impossible"
    return "fast" if speed >= FAST_KMH else "possible"


def _hour(at: int, past: tuple[Past, ...]) -> str:
    if len(past) < HABIT:
        return "unknown"
    hour = hour_of(at)
    apart = [abs(hour - hour_of(one.at)) for one in past]
    share = sum(min(gap, HOURS - gap) <= 2 for gap in apart) / len(past)
    return "usual" if share >= USUAL_SHARE else "rare" if share >= RARE_SHARE else "odd"


def hour_of(at: int) -> int:
    """The hour of the day, UTC: a person's history is in the same one."""
    return at % 86_400 // 3600


def _seen(value: str, known: list[str]) -> str:
    if not known:
        return "first"
    if not value:
        return "unknown"
    return "seen" if value in known else "new"


def _amount(amount: float | None, paid: list[float]) -> str:
    if amount is None:
        return "none"
    if len(paid) < HABIT:
        return "unknown"
    return "high" if amount > HIGH_AMOUNT * max(paid) else "usual"


def _step(count: int, *steps: tuple[int, str]) -> str:
    return next((name for most, name in steps if count <= most), "")
