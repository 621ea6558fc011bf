"""Labelled sign-ins in a file: one JSON object a line, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import Invalid
from ..login.risk.history import Attempt, History, Place
from .stream import HONEST, LabelledAttempt

PLACE = {
    "network": str,
    "wide": str,
    "country": str,
    "latitude": float,
    "longitude": float,
    "anonymising": bool,
}
REST = {
    "at": int,
    "device": str,
    "agent": str,
    "client": str,
    "amount": float,
    "account_failures": int,
    "address_failures": int,
    "neighbours": int,
}
DEVICES = ("none", "known", "mismatch")


def read_events(path: Path) -> Iterator[LabelledAttempt]:
    """The sign-ins of ``path``, each with the history of honest ones before it; Invalid names a wrong line.

    A line has ``person``, ``label`` (``honest`` or any other word) and ``at`` in Unix seconds, and of the
    fields of ``Attempt`` and ``Place`` those that are known.
    """
    histories: dict[str, History] = {}
    latest = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                told = json.loads(line)
                person, label, attempt = str(told["person"]), str(told["label"]), _attempt(told)
                if attempt.at < latest:
                    raise ValueError
            except (ValueError, KeyError, TypeError) as error:
                raise Invalid(f"Line {number} of {path.name} is no labelled sign-in in its time.") from error
            latest, history = attempt.at, histories.get(person, History())
            yield LabelledAttempt(person, label, attempt, history)
            if label == HONEST:
                histories[person] = history.with_(attempt)


def _attempt(told: dict[str, Any]) -> Attempt:
    if set(told) - {"person", "label", *PLACE, *REST} or told.get("device", "none") not in DEVICES:
        raise ValueError
    rest = {name: kind(told[name]) for name, kind in REST.items() if told.get(name) is not None}
    place = {name: kind(told[name]) for name, kind in PLACE.items() if told.get(name) is not None}
    return Attempt(place=Place(**place), **rest)
