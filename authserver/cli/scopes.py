"""authserver scopes: what can be asked for, in words."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..appearance import LANGUAGES
from ..errors import Invalid
from ..oauth import rar
from .rooms import json_option, open_rooms, show, table

COLUMNS = ["name", "audience", "authorization_details_type", "description"]
NO_TYPE = "none"


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
    rows = [asdict(scope) for scope in sorted(found, key=lambda scope: scope.name)]
    show(rows, as_json, table(rows, COLUMNS))


@scopes.command("set")
@click.argument("name")
@click.option("--description", required=True, help="A sentence that people read before they agree.")
@click.option("--audience", default=None, help="The audience of the API that owns it.")
@click.option(
    "--details-type",
    type=click.Choice([*sorted(rar.TYPES), NO_TYPE]),
    help="The authorization details without which no person is asked for it.",
)
@json_option
def set_(name: str, description: str, audience: str | None, details_type: str | None, as_json: bool) -> None:
    """Add a scope or change it. What is left out stays as it was.

    \b
    Examples:
      authserver scopes set payments:read --description "See payments" --audience https://api.example.com/payments
      authserver scopes set payouts:start --description "Pay out" --details-type payment_initiation
    """
    _judge(description)
    services = open_rooms()
    before = services.scopes.all().get(name)
    services.scopes.describe(name, description, audience, "" if details_type == NO_TYPE else details_type)
    services.versions.forget()
    scope = services.scopes.all()[name]
    gone = sorted(before.translations.keys() - scope.translations.keys()) if before else []
    also = f" Say it anew in {', '.join(gone)}: see `authserver scopes translate`." if gone else ""
    show(asdict(scope), as_json, f"{name} is set.{also}")


@scopes.command()
@click.argument("name")
@click.argument("language", type=click.Choice(sorted(LANGUAGES)))
@click.argument("sentence", required=False)
@click.option(
    "--remove", is_flag=True, help="Have no sentence in this language: people read the description."
)
@json_option
def translate(name: str, language: str, sentence: str | None, remove: bool, as_json: bool) -> None:
    """Say a scope's sentence in another language.

    \b
    Examples:
      authserver scopes translate payments:read de "Ihre Zahlungen sehen"
      authserver scopes translate payments:read de --remove
    """
    if (sentence is None) != remove:
        raise Invalid("Give a sentence, or say --remove.")
    if sentence is not None:
        _judge(sentence)
    services = open_rooms()
    services.scopes.translate(name, language, sentence)
    services.versions.forget()
    show(
        asdict(services.scopes.all()[name]),
        as_json,
        f"{name} is {'no longer ' if remove else ''}said in {language}.",
    )


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


def _judge(sentence: str) -> None:
    if not sentence.strip() or len(sentence) > 300:
        raise Invalid("The description is a sentence of at most 300 characters.")
