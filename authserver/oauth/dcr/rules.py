"""What a registration is judged by, and how a member with few possible values is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...outgoing import Outgoing
from ...partners import Policy
from .refusals import refused


@dataclass(frozen=True)
class Rules:
    """A policy, the scopes there are, what calls the client's addresses, and what is registered so far.

    ``scopes`` are those that the client has where it names none; ``before`` are its columns, in an update.
    """

    policy: Policy
    known_scopes: frozenset[str]
    scopes: frozenset[str]
    outgoing: Outgoing
    before: dict[str, Any] | None = None

    @property
    def subject_types(self) -> tuple[str, ...]:
        """Those of the policy, public first."""
        return tuple(sorted(self.policy.subject_types, reverse=True))


def one_of(document: dict[str, Any], name: str, known: tuple[str, ...], reason: str) -> str:
    """The member ``name``, the first of ``known`` where it is missing; ProtocolError for any other."""
    value = document.get(name, known[0])
    if not isinstance(value, str) or value not in known:
        raise refused(reason)
    return value
