"""authserver grants: what people allow clients, and withdrawing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ..errors import Invalid, NotDone
from ..oauth import grant_records
from ..services import Services
from .clients import must_know
from .rooms import CommandOfIds, json_option, open_rooms, show, table
from .users import find_user

COLUMNS = ["grant_id", "username", "client_id", "scopes", "created_at", "authorizations"]
NO_GRANT = "There is no such grant that has not ended; see `authserver grants list`."


@click.group()
def grants() -> None:
    """List and withdraw what people allow clients. USER is a user name or e-mail address."""


@grants.command("list")
@click.option("--user", help="Of one person.")
@click.option("--client", "client_id", help="Of one client.")
@json_option
def list_(user: str | None, client_id: str | None, as_json: bool) -> None:
    """What has not ended, the newest first, with how many authorizations live under it.

    \b
    Examples:
      authserver grants list --user alice
      authserver grants list --client demo-shop --json
    """
    services = open_rooms()
    rows = _rows(services, _wanted(services, user, client_id))
    show(rows, as_json, table(rows, COLUMNS))


@grants.command(cls=CommandOfIds)
@click.argument("grant_id", required=False)
@click.option("--user", help="Of one person.")
@click.option("--client", "client_id", help="Of one client.")
@json_option
def withdraw(grant_id: str | None, user: str | None, client_id: str | None, as_json: bool) -> None:
    """Withdraw a grant, or all of a person or client: all that was given under it has ended.

    \b
    Examples:
      authserver grants withdraw pP2Xn0c4kq8mVb1uYt7rSw
      authserver grants withdraw --user alice --client demo-shop
      authserver grants withdraw --client demo-shop
    """
    if (grant_id is None) == (user is None and client_id is None):
        raise Invalid("Name one GRANT_ID, or those of a person or client with --user and --client.")
    services = open_rooms()
    wanted = {"grant_id": grant_id} if grant_id else _wanted(services, user, client_id)
    rows = _rows(services, wanted)
    if not rows:
        raise NotDone(NO_GRANT)
    withdrawn = [row for row in rows if services.consents.withdraw(row["user_id"], row["client_id"])]
    lines = [f"{row['username']} allows {row['client_id']} nothing any more." for row in withdrawn]
    show(withdrawn, as_json, "\n".join(lines))


def _wanted(services: Services, user: str | None, client_id: str | None) -> dict[str, str]:
    wanted = {}
    if user is not None:
        wanted["user_id"] = find_user(services, user).user_id
    if client_id is not None:
        wanted["client_id"] = must_know(services, client_id).client_id
    return wanted


def _rows(services: Services, wanted: dict[str, str]) -> list[dict[str, Any]]:
    names = {user.user_id: user.username for user in services.users.all()}
    return [
        {"username": names.get(grant.user_id, ""), **asdict(grant), "scopes": list(grant.scopes)}
        for grant in grant_records.find(services.database, **wanted)
    ]
