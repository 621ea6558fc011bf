"""Sign-ins of people who do not exist, labelled: what the judges of risk are measured on."""

from .evaluation import evaluate
from .stream import ATTACKERS, HONEST, LabelledAttempt, simulate

__all__ = ["ATTACKERS", "HONEST", "LabelledAttempt", "evaluate", "simulate"]
