"""What follows from a score: nothing more, another proof, or a refusal. It never asks for less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ... import acr
from .history import Attempt
from .model import Surprise
from .rules import Score
from .signals import Signals

Kind = Literal["allow", "step_up", "confirm", "deny"]
# what names a verdict in the audit log before the heaviest reason does
TELLING = ("impossible_travel", "device_mismatch")
NOTHING = "as_usual"
UNLIKELY = "unlike_history"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Points from which more is asked, from which a phishing-resistant factor is, and nothing helps."""

    step_up: int
    strong: int
    deny: int


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody can prove: the acr that their factors reach, and whether a code can be sent to them."""

    highest: str = acr.PASSWORD
    reached: bool = False


@dataclass(frozen=True, slots=True)
class Assessed:
    """Everything that is known of how an attempt was judged. For the audit log and the history alone."""

    attempt: Attempt
    signals: Signals
    score: Score
    surprise: Surprise | None = None
    unlikely: bool = False

    @property
    def reason(self) -> str:
        """The one word for it: what tells the most."""
        names = [name for name, _ in self.score.reasons]
        telling = next((name for name in TELLING if name in names), "")
        first = names[0] if names else NOTHING
        return telling or (UNLIKELY if self.unlikely and first == NOTHING else first)

    @property
    def nothing_found(self) -> bool:
        """Whether all that a payment is judged by was known, and as usual (PSD2 RTS art. 18(2)(c)).

        What nobody could tell, or nobody is used to yet, is never taken for as usual.
        """
        signals = self.signals
        known = signals.maturity == "mature" and signals.device == "known" and signals.country == "seen"
        known = known and signals.travel in ("none", "possible") and signals.amount == "usual"
        return known and not self.score.reasons and not self.unlikely

    @property
    def strange(self) -> bool:
        """Whether the person should hear of it: they have signed in before, and not from such a device."""
        if self.signals.maturity == "first" or self.signals.device == "known":
            return False
        usual = self.signals.agent == "seen" and self.signals.network in ("usual", "seen")
        return self.signals.device != "none" or not usual


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is asked besides: with ``step_up`` the ``acr`` to reach, with ``confirm`` a code sent to them."""

    kind: Kind
    acr: str = ""
    assessed: Assessed | None = None


def decide(assessed: Assessed, person: Person, limits: Thresholds) -> Verdict:
    """The verdict. Whoever can prove nothing of what is asked is refused."""
    points = assessed.score.points
    passkey = acr.reaches(person.highest, acr.PHISHING_RESISTANT)
    if points >= limits.deny or (points >= limits.strong and not passkey):
        return Verdict("deny", assessed=assessed)
    if points >= limits.strong:
        return Verdict("step_up", acr.PHISHING_RESISTANT, assessed)
    if points < limits.step_up and not assessed.unlikely:
        return Verdict("allow", assessed=assessed)
    if acr.reaches(person.highest, acr.MFA):
        return Verdict("step_up", acr.MFA, assessed)
    return Verdict("confirm" if person.reached else "deny", assessed=assessed)
