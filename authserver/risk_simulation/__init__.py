"""Sign-ins of people who do not exist, labelled: what the judges of risk are measured on."""

from .evaluation import Row, evaluate
from .events import read_events
from .stream import ATTACKERS, HONEST, KNOWN, LabelledAttempt, lessons, simulate

__all__ = [
    "ATTACKERS",
    "HONEST",
    "KNOWN",
    "LabelledAttempt",
    "Row",
    "evaluate",
    "lessons",
    "read_events",
    "simulate",
]
