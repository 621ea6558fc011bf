"""Who must prove how much: rules by group, client, scope and amount, read from a file once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self

from .. import acr
from ..errors import Invalid

_CONDITIONS = {"groups", "clients", "scopes", "amount_over", "currency"}


class PolicyRefused(Invalid):
    """The file of the policy cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about, as rules see it."""

    client_id: str
    scopes: frozenset[str] = frozenset()
    amount: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever all of its conditions fit must reach ``acr``; an empty condition fits everybody."""

    acr: str
    groups: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    amount_over: Decimal | None = None
    currency: str | None = None

    @property
    def of_logins(self) -> bool:
        """Whether the rule is about every login of its people, whatever it is for."""
        return not (self.clients or self.scopes or self.amount_over is not None or self.currency)

    def fits(self, groups: Iterable[str], asked: Asked | None) -> bool:
        """Whether the rule is about this person and this request."""
        if self.groups and self.groups.isdisjoint(groups):
            return False
        if self.of_logins:
            return True
        if asked is None or (self.clients and asked.client_id not in self.clients):
            return False
        if self.scopes and self.scopes.isdisjoint(asked.scopes):
            return False
        return self._fits_amount(asked)

    def _fits_amount(self, asked: Asked) -> bool:
        if self.amount_over is None and self.currency is None:
            return True
        if asked.amount is None or (self.currency is not None and asked.currency != self.currency):
            return False
        return self.amount_over is None or Decimal(asked.amount) > self.amount_over


@dataclass(frozen=True)
class Policy:
    """The rules; none demand anything of people without a second factor."""

    rules: tuple[Rule, ...] = ()

    def demand(self, groups: Iterable[str], asked: Asked | None = None) -> str:
        """The acr that must be reached, empty for any; without ``asked``, that of every login."""
        return acr.highest("", *(rule.acr for rule in self.rules if rule.fits(groups, asked)))

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """The policy of a TOML file with ``[[rule]]`` tables; PolicyRefused if it has a fault."""
        if path is None:
            return cls()
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PolicyRefused(f"The policy of second factors cannot be read: {error}.") from error
        if document.keys() - {"rule"} or not isinstance(document.get("rule", []), list):
            raise PolicyRefused("The policy of second factors has [[rule]] tables and nothing else.")
        return cls(tuple(_rule(table) for table in document.get("rule", [])))


def _rule(table: Any) -> Rule:
    if not isinstance(table, dict) or table.keys() - _CONDITIONS - {"acr"}:
        raise PolicyRefused(f"A rule has acr and may have {', '.join(sorted(_CONDITIONS))}: {table}.")
    if table.get("acr") not in acr.LADDER:
        raise PolicyRefused(f"A rule's acr is one of {', '.join(acr.LADDER)}: {table}.")
    lists = {name: _texts(table, name) for name in ("groups", "clients", "scopes")}
    amount, currency = table.get("amount_over"), table.get("currency")
    if currency is not None and not isinstance(currency, str):
        raise PolicyRefused(f"A rule's currency is a text such as EUR: {table}.")
    try:
        over = None if amount is None else Decimal(str(amount))
    except InvalidOperation as error:
        raise PolicyRefused(f"A rule's amount_over is a number: {table}.") from error
    return Rule(table["acr"], lists["groups"], lists["clients"], lists["scopes"], over, currency)


def _texts(table: dict[str, Any], name: str) -> frozenset[str]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise PolicyRefused(f"A rule's {name} are a list of texts: {table}.")
    return frozenset(value)
