"""authserver keys: signing keys and master keys."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from .. import crypto
from ..errors import NotDone
from .rooms import json_option, open_rooms, show, table


@click.group()
def keys() -> None:
    """List and rotate signing keys."""


@keys.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every published key: next, active, retired.

    \b
    Example:
      authserver keys list
    """
    rows = [
        {"kid": key.kid, "alg": key.alg, "state": key.state, "retired_at": _time(key.retired_at)}
        for key in open_rooms().keys.published()
    ]
    show(rows, as_json, table(rows, ["kid", "alg", "state", "retired_at"]))


@keys.command()
@click.option(
    "--alg", default=None, help="The algorithm whose key moves on; the access tokens' own if left out."
)
@click.option(
    "--compromise", is_flag=True, help="The old key is no longer trusted: refuse all it signed, now."
)
@json_option
def rotate(alg: str | None, compromise: bool, as_json: bool) -> None:
    """Let the next key sign. Refused while it is too new for every API to know it.

    \b
    Examples:
      authserver keys rotate
      authserver keys rotate --compromise
    """
    services = open_rooms()
    alg = alg or services.settings.access_token_alg
    if alg not in {key.alg for key in services.keys.published()}:
        raise NotDone("There is no key of this algorithm.")
    kid = services.rotation.rotate(alg, compromise=compromise)
    show({"alg": alg, "kid": kid}, as_json, f"{alg} signs with {kid} from now on.")


@keys.command()
@json_option
def master(as_json: bool) -> None:
    """Print a new master key for AUTHSERVER_MASTER_KEYS.

    To change it, put the new one first and keep the old one behind it: id:new,id:old.

    \b
    Example:
      authserver keys master
    """
    key = f"m{crypto.random_bytes(4).hex()}:{crypto.random_token()}"
    show({"master_key": key}, as_json, key)


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
