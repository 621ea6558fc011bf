"""Sign-ins of people who do not exist, labelled: what the judges of risk are measured on."""

from .evaluation import Report, Row, evaluate
from .events import read_events
from .stream import ATTACKERS, HONEST, KNOWN, LabelledAttempt, lessons, simulate

__all__ = [
    "ATTACKERS",
    "HONEST",
    "KNOWN",
    "LabelledAttempt",
    "Report",
    "Row",
    "evaluate",
    "lessons",
    "read_events",
    "simulate",
]
