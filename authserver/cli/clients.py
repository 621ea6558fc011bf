"""authserver clients: register, approve, suspend, and what keeps them safe."""

from __future__ import annotations

from typing import Any

import click

from ..clients import ClientRecord
from ..clients.registry import AUTH_METHODS, NO_SUCH_CLIENT
from ..config import SIGNING_ALGS
from ..errors import Invalid
from ..ip_allowlist import parse_networks
from ..oauth import rar
from ..tiers import known
from .rooms import json_option, open_rooms, show, table

GRANTS = ("client_credentials", "authorization_code", "refresh_token")
ID_TOKEN_ALGS = ("ES256", "RS256", "PS256", "EdDSA")
COLUMNS = ["client_id", "client_name", "state", "tier", "token_endpoint_auth_method", "scopes"]


@click.group()
def clients() -> None:
    """Register clients and resource servers, and change them while the server runs."""


@clients.command()
@click.option("--name", required=True, help="A name that people know the client by.")
@click.option("--id", "client_id", default="", help="The client id; random if left out.")
@click.option(
    "--auth-method", type=click.Choice(AUTH_METHODS), default="client_secret_basic", show_default=True
)
@click.option("--grant", "grants", multiple=True, type=click.Choice(GRANTS), help="May repeat.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where its codes may go; may repeat.")
@click.option("--native", is_flag=True, help="An app on a device: any loopback port, private-use schemes.")
@click.option("--without-pkce", is_flag=True, help="Let this confidential client do without PKCE.")
@click.option("--details-type", "details", multiple=True, type=click.Choice(sorted(rar.TYPES)))
@click.option("--id-token-alg", type=click.Choice(ID_TOKEN_ALGS), default="ES256", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="A scope the client may ask for; may repeat.")
@click.option("--network", "networks", multiple=True, help="A CIDR range it may call from; may repeat.")
@click.option(
    "--tier", default="standard", show_default=True, help="The rate tier, see `authserver tiers list`."
)
@click.option("--audience", default="", help="Makes it the resource server of this audience URI.")
@click.option("--signing-alg", type=click.Choice(SIGNING_ALGS), help="Signs that API's tokens.")
@click.option("--pending", is_flag=True, help="Wait for `authserver clients approve`.")
@json_option
def create(as_json: bool, **given: Any) -> None:
    """Register a client. Its secret is printed once.

    \b
    Examples:
      authserver clients create --name "Corner shop" --grant client_credentials --scope payments:initiate
      authserver clients create --name "Web shop" --grant authorization_code --grant refresh_token \\
        --redirect-uri https://shop.example/callback --scope openid --details-type payment_initiation
      authserver clients create --name "Payments API" --audience https://api.example.com/payments
    """
    services = open_rooms()
    unknown = sorted(set(given["scopes"]) - set(services.scopes.all()))
    if unknown:
        raise Invalid(f"There is no scope named {', '.join(unknown)}; see `authserver scopes list`.")
    known(services.database, given["tier"])
    values = {
        "client_id": given["client_id"],
        "client_name": given["name"],
        "state": "pending" if given["pending"] else "active",
        "token_endpoint_auth_method": given["auth_method"],
        "grant_types": sorted(set(given["grants"])),
        "redirect_uris": list(dict.fromkeys(given["redirect_uris"])),
        "application_type": "native" if given["native"] else "web",
        "require_pkce": not given["without_pkce"],
        "authorization_details_types": sorted(set(given["details"])),
        "id_token_alg": given["id_token_alg"],
        "scopes": sorted(set(given["scopes"])),
        "profile": "oauth21",
        "tier": given["tier"],
    }
    if "authorization_code" in given["grants"]:
        services.rotation.ensure(given["id_token_alg"])
    if not given["name"].strip() or len(given["name"]) > 100:
        raise Invalid("The name is 1 to 100 characters.")
    if not given["grants"] and not given["audience"] and given["auth_method"] != "none":
        raise Invalid("A client has a --grant, or is a resource server with an --audience.")
    if given["signing_alg"]:
        services.rotation.ensure(given["signing_alg"])
    api = {key: given[key] for key in ("audience", "name", "signing_alg")} if given["audience"] else None
    client_id, secret = services.clients.create(values, parse_networks(given["networks"]), api)
    told = {"client_id": client_id, "client_secret": secret, "state": values["state"]}
    lines = [f"client_id: {client_id}"]
    if secret:
        lines.append(f"client_secret: {secret}  (shown once)")
    show(told, as_json, "\n".join([*lines, f"state: {values['state']}"]))


@clients.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every client.

    \b
    Example:
      authserver clients list --json
    """
    rows = [_row(client) for client in open_rooms().clients.all()]
    show(rows, as_json, table(rows, COLUMNS))


@clients.command("show")
@click.argument("client_id")
@json_option
def show_(client_id: str, as_json: bool) -> None:
    """All about one client but its secret.

    \b
    Example:
      authserver clients show demo-merchant
    """
    row = _row(_known(client_id))
    show(row, as_json, "\n".join(f"{name}: {value}" for name, value in row.items()))


@clients.command()
@click.argument("client_id")
@json_option
def suspend(client_id: str, as_json: bool) -> None:
    """The client gets nothing any more, on every worker within a second.

    \b
    Example:
      authserver clients suspend demo-merchant
    """
    _set_state(client_id, "suspended", as_json)


@clients.command()
@click.argument("client_id")
@json_option
def approve(client_id: str, as_json: bool) -> None:
    """A pending or suspended client is active.

    \b
    Example:
      authserver clients approve demo-merchant
    """
    _set_state(client_id, "active", as_json)


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


def _known(client_id: str) -> ClientRecord:
    client = open_rooms().clients.get(client_id)
    if client is None:
        raise Invalid(NO_SUCH_CLIENT)
    return client


def _set_state(client_id: str, state: str, as_json: bool) -> None:
    open_rooms().clients.set_state(client_id, state)
    show({"client_id": client_id, "state": state}, as_json, f"{client_id} is {state}.")


def _row(client: ClientRecord) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "client_name": client.client_name,
        "state": client.state,
        "tier": client.tier,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": sorted(client.grant_types),
        "redirect_uris": list(client.redirect_uris),
        "application_type": client.application_type,
        "require_pkce": client.require_pkce,
        "authorization_details_types": sorted(client.authorization_details_types),
        "id_token_alg": client.id_token_alg,
        "scopes": sorted(client.scopes),
        "networks": client.networks,
        "audience": client.audience,
        "secrets": len(client.secrets),
    }
