"""One stream of sign-ins in the order of time, honest ones and attacks, each with its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from ..login.risk.history import Attempt, History
from . import attackers
from .people import DAY, sign_ins, some_person

HONEST = "honest"
ATTACKERS: dict[str, attackers.Attack] = {
    "stuffing": attackers.stuffing,
    "spraying": attackers.spraying,
    "travel": attackers.travel,
    "session_theft": attackers.session_theft,
    "careful": attackers.careful,
    "relay": attackers.relay,
    "same_home": attackers.insider_home,
    "border": attackers.border,
    "next_door": attackers.next_door,
    "sim_farm": attackers.sim_farm,
    "night_proxy": attackers.night_proxy,
    "exit_cookie": attackers.exit_cookie,
}
# the model learns of these alone; rules and weights were shaped with most of the others known (docs/risk.md)
KNOWN = ("stuffing", "spraying", "travel")
# of attacks by known ways one in so many succeeded and is learned from as if it were honest
UNNOTICED = 20
BEGINS = 1_750_000_000 - 1_750_000_000 % DAY
DAYS = 90


@dataclass(frozen=True, slots=True)
class LabelledAttempt:
    """Somebody's attempt with the history that the server had of them then, and who it really was."""

    person: str
    label: str
    attempt: Attempt
    history: History


def simulate(
    seed: int, people: int, kinds: Sequence[str] = tuple(ATTACKERS), days: int = DAYS
) -> Iterator[LabelledAttempt]:
    """``people`` over ``days``, and each of ``kinds`` once at every person; the same for the same seed.

    An attack never becomes part of a history: it is judged as the first one that the person suffers.
    """
    rng = Random(seed)
    for number in range(people):
        person = some_person(rng, f"person-{number}", BEGINS, days)
        honest = sign_ins(rng, person, BEGINS, days)
        if len(honest) < 2:
            continue
        marked = [(attempt.at, attempt, HONEST) for attempt in honest]
        for kind in kinds:
            # after the person has signed in at least twice
            last = honest[rng.randrange(1, len(honest))]
            at = last.at + int(rng.uniform(0.02, 2) * DAY)
            attempt = ATTACKERS[kind](rng, person, last, at)
            marked.append((attempt.at, attempt, kind))
        history = History()
        for _, attempt, label in sorted(marked, key=lambda item: item[0]):
            yield LabelledAttempt(person.name, label, attempt, history)
            if label == HONEST:
                history = history.with_(attempt)


def lessons(seed: int, people: int) -> Iterator[LabelledAttempt]:
    """What a server would have learned from: honest sign-ins, and attacks that nobody noticed."""
    attacks = 0
    for one in simulate(seed, people, KNOWN):
        attacks += one.label != HONEST
        if one.label == HONEST or attacks % UNNOTICED == 0:
            yield one
