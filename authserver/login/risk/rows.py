"""Sign-ins as they rest, and as they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .history import Attempt, Past, Place


def attempt_values(attempt: Attempt) -> dict[str, Any]:
    """The columns that an attempt fills."""
    place = attempt.place
    return {
        "at": attempt.at,
        "network": place.network,
        "wide": place.wide,
        "country": place.country,
        "latitude": None if place.latitude is None else round(place.latitude),
        "longitude": None if place.longitude is None else round(place.longitude),
        "anonymising": place.anonymising,
        "device": attempt.device,
        "agent": attempt.agent,
        "client_id": attempt.client[:128],
        "amount": None if attempt.amount is None else round(attempt.amount),
        "account_failures": attempt.account_failures,
        "address_failures": attempt.address_failures,
        "neighbours": attempt.neighbours,
    }


def attempt_of(row: Any) -> Attempt:
    """The attempt in a row."""
    return Attempt(
        row.at,
        _place(row, {}),
        row.device,
        row.agent,
        row.client_id,
        row.amount,
        row.account_failures,
        row.address_failures,
        row.neighbours,
    )


def past_of(row: Any, names: Mapping[str, str], currency: str) -> Past:
    """The completed sign-in in a row, marks by what they are called now; amounts in ``currency`` alone."""
    amount = row.amount if row.currency == currency else None
    agent = names.get(row.agent, row.agent)
    return Past(row.at, _place(row, names), agent, row.client_id, amount, row.device == "known")


def _place(row: Any, names: Mapping[str, str]) -> Place:
    network, wide = (names.get(mark, mark) for mark in (row.network, row.wide))
    return Place(network, wide, row.country, row.latitude, row.longitude, row.anonymising)
