"""authserver clients: what changes of a client while the server runs."""

from __future__ import annotations

from typing import BinaryIO

import click

from ..errors import Invalid
from ..ip_allowlist import parse_networks
from ..tiers import known
from .clients import clients, keys_of, known_client, row_of
from .rooms import json_option, open_rooms, show

__all__ = ["clients"]


@clients.command("keys")
@click.argument("client_id")
@click.option("--jwks", "keys", type=click.File("rb"), help="A file with a JWK Set.")
@click.option("--jwks-uri", help="Where the client publishes its keys.")
@json_option
def keys_(client_id: str, keys: BinaryIO | None, jwks_uri: str | None, as_json: bool) -> None:
    """Replace the public keys by which a client proves itself (private_key_jwt).

    \b
    Examples:
      authserver clients keys bank --jwks bank.jwks.json
      authserver clients keys bank --jwks-uri https://bank.example/jwks
    """
    services = open_rooms()
    given = keys_of(services, keys, jwks_uri)
    services.clients.set_keys(client_id, given["jwks"], given["jwks_uri"])
    row = row_of(known_client(client_id))
    show(row, as_json, f"{client_id} has {row['jwks_uri'] or ', '.join(row['kids'])}.")


@clients.command("rotate-secret")
@click.argument("client_id")
@click.option(
    "--overlap", type=click.IntRange(0, 30 * 86_400), default=0, help="Seconds the old secret still works."
)
@json_option
def rotate_secret(client_id: str, overlap: int, as_json: bool) -> None:
    """Make a new secret, printed once. The old one ends now, or after --overlap.

    \b
    Examples:
      authserver clients rotate-secret demo-merchant
      authserver clients rotate-secret demo-merchant --overlap 86400
    """
    secret = open_rooms().clients.rotate_secret(client_id, overlap)
    told = {"client_id": client_id, "client_secret": secret}
    show(told, as_json, f"client_secret: {secret}  (shown once)")


@clients.command("redirect-uris")
@click.argument("client_id")
@click.argument("uris", nargs=-1, required=True)
@json_option
def redirect_uris(client_id: str, uris: tuple[str, ...], as_json: bool) -> None:
    """Set where the codes of a client may go, all of them at once.

    \b
    Example:
      authserver clients redirect-uris web-shop https://shop.example/callback
    """
    wanted = list(dict.fromkeys(uris))
    open_rooms().clients.set_redirect_uris(client_id, wanted)
    told = {"client_id": client_id, "redirect_uris": wanted}
    show(told, as_json, f"Codes of {client_id} go to {', '.join(wanted)}.")


@clients.command()
@click.argument("client_id")
@click.option("--allow", "networks", multiple=True, help="A CIDR range, IPv4 or IPv6; may repeat.")
@click.option("--anywhere", is_flag=True, help="Drop the allowlist: the client may call from everywhere.")
@click.option("--allow-everywhere", is_flag=True, help="Accept 0.0.0.0/0 and ::/0 among the ranges.")
@json_option
def networks(
    client_id: str, networks: tuple[str, ...], anywhere: bool, allow_everywhere: bool, as_json: bool
) -> None:
    """Set from where a client may call.

    \b
    Examples:
      authserver clients networks demo-merchant --allow 203.0.113.0/24 --allow 2001:db8::/48
      authserver clients networks demo-merchant --anywhere
    """
    if bool(networks) == anywhere:
        raise Invalid("Name the networks with --allow, or say --anywhere.")
    services = open_rooms()
    try:
        cidrs = parse_networks(networks, everywhere=allow_everywhere)
    except Invalid:
        services.clients.networks_refused(client_id)
        raise
    services.clients.set_networks(client_id, cidrs)
    told = {"client_id": client_id, "networks": cidrs}
    show(told, as_json, f"{client_id} may call from {', '.join(cidrs) or 'everywhere'}.")


@clients.command()
@click.argument("client_id")
@click.argument("name")
@json_option
def tier(client_id: str, name: str, as_json: bool) -> None:
    """Move a client to a rate tier.

    \b
    Example:
      authserver clients tier demo-merchant gold
    """
    services = open_rooms()
    known(services.database, name)
    services.clients.set_tier(client_id, name)
    show({"client_id": client_id, "tier": name}, as_json, f"{client_id} is in tier {name}.")
