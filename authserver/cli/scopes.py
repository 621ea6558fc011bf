"""authserver scopes: what can be asked for, in words."""

from __future__ import annotations

import click

from ..errors import Invalid
from .rooms import json_option, open_rooms, show, table


@click.group()
def scopes() -> None:
    """List and edit scopes."""


@scopes.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every scope, the API that owns it, and its sentence.

    \b
    Example:
      authserver scopes list
    """
    found = open_rooms().scopes.all().values()
    rows = [{"name": s.name, "audience": s.audience, "description": s.description} for s in found]
    rows.sort(key=lambda row: str(row["name"]))
    show(rows, as_json, table(rows, ["name", "audience", "description"]))


@scopes.command("set")
@click.argument("name")
@click.option("--description", required=True, help="A sentence that people read before they agree.")
@click.option("--audience", default=None, help="The audience of the API that owns it.")
@json_option
def set_(name: str, description: str, audience: str | None, as_json: bool) -> None:
    """Add a scope or change it.

    \b
    Example:
      authserver scopes set payments:read --description "See payments" --audience https://api.example.com/payments
    """
    if not description.strip() or len(description) > 300:
        raise Invalid("The description is a sentence of at most 300 characters.")
    open_rooms().scopes.describe(name, description, audience)
    show({"name": name, "description": description, "audience": audience}, as_json, f"{name} is set.")


@scopes.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Delete a scope: nobody gets it any more.

    \b
    Example:
      authserver scopes remove reports
    """
    open_rooms().scopes.remove(name)
    show({"name": name, "removed": True}, as_json, f"{name} is removed.")
