"""authserver clients: what changes of a client while the server runs."""

from __future__ import annotations

from typing import BinaryIO

import click

from ..clients import sectors
from ..clients.metadata import TOKEN_FORMATS
from ..config import ID_TOKEN_ALGS
from ..errors import Invalid
from ..ip_allowlist import parse_networks
from ..tiers import known
from .clients import address, clients, confirm_sector, keys_of, known_client, row_of
from .rooms import CommandOfIds, json_option, open_rooms, show

__all__ = ["clients"]


@clients.command("keys", cls=CommandOfIds)
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


@clients.command("rotate-secret", cls=CommandOfIds)
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


@clients.command("redirect-uris", cls=CommandOfIds)
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
    services = open_rooms()
    confirm_sector(services, known_client(client_id).sector_identifier_uri, wanted)
    services.clients.set_redirect_uris(client_id, wanted)
    told = {"client_id": client_id, "redirect_uris": wanted}
    show(told, as_json, f"Codes of {client_id} go to {', '.join(wanted)}.")


@clients.command(cls=CommandOfIds)
@click.argument("client_id")
@click.argument("subject_type", type=click.Choice(sectors.SUBJECT_TYPES))
@click.option("--sector-identifier-uri", help="Where its sector lists all its redirect URIs.")
@click.option("--yes", is_flag=True, help="People will be strangers to the client: do it all the same.")
@json_option
def subjects(
    client_id: str, subject_type: str, sector_identifier_uri: str | None, yes: bool, as_json: bool
) -> None:
    """Set by which ids a client knows people: everybody's own, or those of its sector.

    \b
    Examples:
      authserver clients subjects web-shop pairwise --yes
      authserver clients subjects web-shop pairwise --sector-identifier-uri https://shop.example/sector.json
    """
    services, client = open_rooms(), known_client(client_id)
    confirm_sector(services, sector_identifier_uri, client.redirect_uris)
    new = sectors.sector_of(client.redirect_uris, sector_identifier_uri) if subject_type == "pairwise" else ""
    if (client.subject_type, client.sector) != (subject_type, new) and not yes:
        raise Invalid("The client will know all people by other ids from then on. Say --yes if it shall.")
    services.clients.set_subjects(client_id, subject_type, sector_identifier_uri)
    row = row_of(known_client(client_id))
    show(row, as_json, f"{client_id} knows people by {subject_type} ids{f' of {new}' if new else ''}.")


@clients.command(cls=CommandOfIds)
@click.argument("client_id")
@click.option("--token-format", type=click.Choice(TOKEN_FORMATS), default="jwt", show_default=True)
@click.option("--userinfo-alg", type=click.Choice(ID_TOKEN_ALGS), help="Signs its UserInfo answers.")
@json_option
def answers(client_id: str, token_format: str, userinfo_alg: str | None, as_json: bool) -> None:
    """Set what a client gets: the form of its access tokens, and UserInfo signed or plain.

    \b
    Examples:
      authserver clients answers web-shop --token-format opaque
      authserver clients answers web-shop --userinfo-alg ES256
    """
    services = open_rooms()
    if userinfo_alg:
        services.rotation.ensure(userinfo_alg)
    services.clients.set_answers(client_id, token_format, userinfo_alg)
    told = f"{token_format} access tokens, and UserInfo {userinfo_alg or 'unsigned'}"
    show(row_of(known_client(client_id)), as_json, f"{client_id} gets {told}.")


@clients.command("logout-uris", cls=CommandOfIds)
@click.argument("client_id")
@click.option("--after", multiple=True, help="Where its people may go once signed out; may repeat.")
@click.option("--backchannel", help="Where the client hears that somebody signed out.")
@click.option(
    "--session-required", is_flag=True, help="It registered that it needs to be told which session."
)
@json_option
def logout_uris(
    client_id: str, after: tuple[str, ...], backchannel: str | None, session_required: bool, as_json: bool
) -> None:
    """Set what a client wants when its people sign out, all of it at once; nothing without options.

    \b
    Examples:
      authserver clients logout-uris web-shop --after https://shop.example/bye \\
        --backchannel https://shop.example/backchannel-logout
      authserver clients logout-uris web-shop
    """
    services = open_rooms()
    wanted = list(dict.fromkeys(after))
    called = address(services, backchannel, "backchannel_logout_uri")
    services.clients.set_logout(client_id, wanted, called, session_required)
    told = {
        "client_id": client_id,
        "post_logout_redirect_uris": wanted,
        "backchannel_logout_uri": called,
        "backchannel_logout_session_required": session_required,
    }
    heard = f"it hears of that at {called}" if called else "it does not hear of that"
    show(told, as_json, f"People of {client_id} go to {', '.join(wanted) or 'our page'}; {heard}.")


@clients.command(cls=CommandOfIds)
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


@clients.command(cls=CommandOfIds)
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
