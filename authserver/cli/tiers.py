"""authserver tiers: how much a client may ask."""

from __future__ import annotations

import click

from ..tiers import change, listed
from .rooms import json_option, open_rooms, show, table


@click.group()
def tiers() -> None:
    """List and change rate tiers while the server runs."""


@tiers.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every tier and what it allows.

    \b
    Example:
      authserver tiers list
    """
    rows = listed(open_rooms().database)
    show(rows, as_json, table(rows, ["tier", "endpoint", "amount", "seconds"]))


@tiers.command("set")
@click.argument("tier")
@click.option(
    "--endpoint", default="*", show_default=True, help="token, introspect, revoke, or * for any other."
)
@click.option("--amount", type=int, required=True, help="Requests.")
@click.option("--seconds", type=int, default=60, show_default=True, help="In so many seconds.")
@json_option
def set_(tier: str, endpoint: str, amount: int, seconds: int, as_json: bool) -> None:
    """Set what a tier allows, within a second on every worker.

    \b
    Example:
      authserver tiers set gold --endpoint token --amount 24000
    """
    services = open_rooms()
    change(services.database, services.audit, tier, endpoint, (amount, seconds))
    told = {"tier": tier, "endpoint": endpoint, "amount": amount, "seconds": seconds}
    show(told, as_json, f"{tier} allows {amount} requests in {seconds} s at {endpoint}.")
