"""authserver clients: register, approve, suspend, and what keeps them safe."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any, BinaryIO

import click

from .. import jwks
from ..clients import ClientRecord, sectors
from ..clients.metadata import AUTH_METHODS, TOKEN_FORMATS
from ..clients.registry import NO_SUCH_CLIENT
from ..config import ID_TOKEN_ALGS, SIGNING_ALGS
from ..errors import Invalid, NotDone
from ..ip_allowlist import parse_networks
from ..oauth import rar
from ..outgoing import Refused
from ..services import Services
from ..tiers import known
from .rooms import CommandOfIds, json_option, open_rooms, show, table

GRANTS = ("client_credentials", "authorization_code", "refresh_token")
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
@click.option("--userinfo-alg", type=click.Choice(ID_TOKEN_ALGS), help="Signs its UserInfo answers.")
@click.option("--subject-type", type=click.Choice(sectors.SUBJECT_TYPES), default="public", show_default=True)
@click.option("--sector-identifier-uri", help="Where its sector lists all its redirect URIs.")
@click.option("--token-format", type=click.Choice(TOKEN_FORMATS), default="jwt", show_default=True)
@click.option("--initiate-login-uri", help="Where a login at the client begins, for people who start here.")
@click.option("--jwks", "keys", type=click.File("rb"), help="Its public keys: a file with a JWK Set.")
@click.option("--jwks-uri", help="Where it publishes its public keys.")
@click.option("--post-logout-redirect-uri", "after", multiple=True, help="Where its people go then.")
@click.option("--backchannel-logout-uri", "backchannel", help="Where it hears that somebody signed out.")
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
      authserver clients create --name "Bank" --auth-method private_key_jwt --jwks bank.jwks.json \\
        --grant client_credentials --scope payments:read
      authserver clients create --name "Payments API" --audience https://api.example.com/payments
    """
    services = open_rooms()
    unknown = sorted(set(given["scopes"]) - set(services.scopes.all()))
    if unknown:
        raise NotDone(f"There is no scope named {', '.join(unknown)}; see `authserver scopes list`.")
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
        **keys_of(services, given["keys"], given["jwks_uri"]),
        "post_logout_redirect_uris": list(dict.fromkeys(given["after"])),
        "backchannel_logout_uri": address(services, given["backchannel"], "backchannel_logout_uri"),
        "userinfo_alg": given["userinfo_alg"],
        "subject_type": given["subject_type"],
        "sector_identifier_uri": given["sector_identifier_uri"],
        "access_token_format": given["token_format"],
        "initiate_login_uri": given["initiate_login_uri"],
        "tier": given["tier"],
    }
    confirm_sector(services, given["sector_identifier_uri"], given["redirect_uris"])
    if "authorization_code" in given["grants"]:
        services.rotation.ensure(given["id_token_alg"])
    if given["userinfo_alg"]:
        services.rotation.ensure(given["userinfo_alg"])
    if not given["name"].strip() or len(given["name"]) > 100:
        raise Invalid("The name is 1 to 100 characters.")
    if not given["grants"] and not given["audience"] and given["auth_method"] != "none":
        raise Invalid("A client has a --grant, or is a resource server with an --audience.")
    if given["signing_alg"]:
        services.rotation.ensure(given["signing_alg"])
    api = {key: given[key] for key in ("audience", "name", "signing_alg")} if given["audience"] else None
    client_id, secret = services.clients.create(values, parse_networks(given["networks"]), api)
    told = {
        "client_id": client_id,
        "client_secret": secret,
        "state": values["state"],
        "namesakes": _namesakes(services, client_id, given["name"]),
    }
    lines = [f"client_id: {client_id}"]
    if secret:
        lines.append(f"client_secret: {secret}  (shown once)")
    show(told, as_json, "\n".join([*lines, f"state: {values['state']}"]))


@clients.command("list")
@click.option("--state", type=click.Choice(("pending", "active", "suspended")), help="In this state alone.")
@click.option("--partner", help="Registered by this partner alone.")
@json_option
def list_(state: str | None, partner: str | None, as_json: bool) -> None:
    """Every client, or those of a partner or in a state.

    \b
    Examples:
      authserver clients list --json
      authserver clients list --state pending
      authserver clients list --partner "Corner shop"
    """
    services = open_rooms()
    rows = [row_of(client) for client in services.clients.all() if state in (None, client.state)]
    if partner is not None:
        theirs = services.registrations.of_partner(partner)
        rows = [row for row in rows if row["client_id"] in theirs]
    show(rows, as_json, table(rows, COLUMNS))


@clients.command("show", cls=CommandOfIds)
@click.argument("client_id")
@json_option
def show_(client_id: str, as_json: bool) -> None:
    """All about one client but its secret.

    \b
    Example:
      authserver clients show demo-merchant
    """
    services = open_rooms()
    row = row_of(must_know(services, client_id))
    if (registration := services.registrations.get(client_id)) is not None:
        # what its partner says of it, for whoever approves it
        row |= {"partner": services.partners.policy(registration.token_id).partner, **registration.described}
    show(row, as_json, "\n".join(f"{name}: {value}" for name, value in row.items()))


@clients.command(cls=CommandOfIds)
@click.argument("client_id")
@json_option
def suspend(client_id: str, as_json: bool) -> None:
    """The client gets nothing any more, on every worker within a second.

    \b
    Example:
      authserver clients suspend demo-merchant
    """
    _set_state(client_id, "suspended", as_json)


@clients.command(cls=CommandOfIds)
@click.argument("client_id")
@json_option
def approve(client_id: str, as_json: bool) -> None:
    """A pending or suspended client is active.

    \b
    Example:
      authserver clients approve demo-merchant
    """
    _set_state(client_id, "active", as_json)


def keys_of(services: Services, file: BinaryIO | None, uri: str | None) -> dict[str, Any]:
    """The keys of a client as its metadata; Invalid for an address that this server would not call."""
    return {"jwks": jwks.load(file.read()) if file else None, "jwks_uri": address(services, uri, "jwks_uri")}


def address(services: Services, uri: str | None, name: str) -> str | None:
    """``uri``, which this server would call; Invalid otherwise."""
    if uri is not None:
        try:
            services.outgoing.check(uri)
        except Refused:
            raise Invalid(f"The {name} is a https URL of a public address.") from None
    return uri


def confirm_sector(services: Services, uri: str | None, redirect_uris: Iterable[str]) -> None:
    """What is at ``uri``, if there is one, lists all of ``redirect_uris``; Invalid otherwise."""
    if uri is not None:
        sectors.confirm(
            services.outgoing, str(address(services, uri, "sector_identifier_uri")), redirect_uris
        )


def known_client(client_id: str) -> ClientRecord:
    return must_know(open_rooms(), client_id)


def must_know(services: Services, client_id: str) -> ClientRecord:
    """The client of an id; NotDone if there is none."""
    client = services.clients.get(client_id)
    if client is None:
        raise NotDone(f"{NO_SUCH_CLIENT} See `authserver clients list`.")
    return client


def _set_state(client_id: str, state: str, as_json: bool) -> None:
    services = open_rooms()
    services.clients.set_state(client_id, state)
    told: dict[str, Any] = {"client_id": client_id, "state": state}
    if state == "active":
        told["namesakes"] = _namesakes(services, client_id, known_client(client_id).client_name)
    show(told, as_json, f"{client_id} is {state}.")


def _namesakes(services: Services, client_id: str, name: str) -> list[str]:
    """Other clients that people know by this name; the operator is warned of them."""
    found = [
        client.client_id
        for client in services.clients.all()
        if client.client_id != client_id
        and client.state != "deleted"
        and _folded(client.client_name) == _folded(name)
    ]
    if found:
        click.echo(
            f"Warning: {', '.join(found)} has this name, too. "
            "People can tell them apart only by the host that they are sent back to.",
            err=True,
        )
    return found


def _folded(name: str) -> str:
    """A name without what people do not see in it: case, width and spaces."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def row_of(client: ClientRecord) -> dict[str, Any]:
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
        "userinfo_alg": client.userinfo_alg,
        "subject_type": client.subject_type,
        "sector": client.sector or None,
        "sector_identifier_uri": client.sector_identifier_uri,
        "access_token_format": client.access_token_format,
        "initiate_login_uri": client.initiate_login_uri,
        "scopes": sorted(client.scopes),
        "networks": client.networks,
        "audience": client.audience,
        "secrets": len(client.secrets),
        "kids": [key.kid for key in client.keys],
        "jwks_uri": client.jwks_uri,
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
    }
