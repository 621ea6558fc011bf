"""authserver partners: who may register clients, and which."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ..clients.metadata import AUTH_METHODS, TOKEN_FORMATS
from ..clients.sectors import SUBJECT_TYPES
from ..errors import NotDone
from ..ip_allowlist import parse_networks
from ..oauth import rar
from ..partners import Invitation, Policy
from ..tiers import known
from .clients import GRANTS
from .rooms import CommandOfIds, json_option, open_rooms, show, table

COLUMNS = ["token_id", "partner", "state", "clients_left", "until", "client_state", "scopes"]


@click.group()
def partners() -> None:
    """Invite partners to register clients themselves (RFC 7591)."""


@partners.command()
@click.option("--name", required=True, help="The partner's name; a client that has no other is called so.")
@click.option("--scope", "scopes", multiple=True, help="A scope its clients may ask for; may repeat.")
@click.option(
    "--grant", "grants", multiple=True, required=True, type=click.Choice(GRANTS), help="May repeat."
)
@click.option(
    "--redirect-host",
    "hosts",
    multiple=True,
    help="Where codes may go: shop.example, localhost for loopback, com.example.app: for an app's scheme.",
)
@click.option(
    "--auth-method",
    "methods",
    multiple=True,
    type=click.Choice(AUTH_METHODS),
    help="May repeat; all of them if left out.",
)
@click.option("--details-type", "details", multiple=True, type=click.Choice(sorted(rar.TYPES)))
@click.option(
    "--subject-type",
    "subject_types",
    multiple=True,
    type=click.Choice(SUBJECT_TYPES),
    help="By which ids its clients may know people; both if left out.",
)
@click.option(
    "--token-format",
    "formats",
    multiple=True,
    type=click.Choice(TOKEN_FORMATS),
    help="Of its clients' access tokens; jwt if left out.",
)
@click.option("--network", "networks", multiple=True, help="A CIDR range its clients may call from.")
@click.option("--tier", default="standard", show_default=True, help="The rate tier of its clients.")
@click.option("--clients", default=1, show_default=True, help="How many clients it may register.")
@click.option("--days", default=7, show_default=True, help="How long the token is good for registering.")
@click.option("--sandbox", is_flag=True, help="Clients are active at once; codes may go to localhost too.")
@json_option
def invite(as_json: bool, **given: Any) -> None:
    """Make an initial access token. It is printed once.

    Clients registered by it wait for `authserver clients approve`, unless it is for the --sandbox.

    \b
    Examples:
      authserver partners invite --name "Corner shop" --grant authorization_code --grant refresh_token \\
        --scope openid --scope accounts:read --redirect-host shop.example --clients 2 --days 14
      authserver partners invite --name "Bank" --grant client_credentials --scope payments:read \\
        --auth-method private_key_jwt --network 203.0.113.0/24
    """
    services = open_rooms()
    unknown = sorted(set(given["scopes"]) - set(services.scopes.all()))
    if unknown:
        raise NotDone(f"There is no scope named {', '.join(unknown)}; see `authserver scopes list`.")
    known(services.database, given["tier"])
    policy = Policy(
        partner=given["name"],
        scopes=frozenset(given["scopes"]),
        grant_types=frozenset(given["grants"]),
        auth_methods=frozenset(given["methods"] or AUTH_METHODS),
        redirect_hosts=frozenset(given["hosts"]) | ({"localhost"} if given["sandbox"] else set()),
        authorization_details_types=frozenset(given["details"]),
        subject_types=frozenset(given["subject_types"] or SUBJECT_TYPES),
        access_token_formats=frozenset(given["formats"] or ("jwt",)),
        networks=tuple(parse_networks(given["networks"])),
        tier=given["tier"],
        client_state="active" if given["sandbox"] else "pending",
    )
    token_id, token = services.partners.invite(policy, given["clients"], given["days"])
    told = {"token_id": token_id, "initial_access_token": token, "client_state": policy.client_state}
    lines = [
        f"token_id: {token_id}",
        f"initial_access_token: {token}  (shown once)",
        f"registers at: {services.settings.issuer}/register",
    ]
    show(told, as_json, "\n".join(lines))


@partners.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every invitation, the newest first.

    \b
    Example:
      authserver partners list --json
    """
    rows = [_row(invitation) for invitation in open_rooms().partners.all()]
    show(rows, as_json, table(rows, COLUMNS))


@partners.command(cls=CommandOfIds)
@click.argument("token_id")
@json_option
def revoke(token_id: str, as_json: bool) -> None:
    """Nothing more is registered by this token. Clients that were stay; suspend them one by one.

    \b
    Example:
      authserver partners revoke TOKEN_ID
    """
    open_rooms().partners.revoke(token_id)
    show({"token_id": token_id, "state": "revoked"}, as_json, f"{token_id} is revoked.")


def _row(invitation: Invitation) -> dict[str, Any]:
    policy = invitation.policy
    return {
        "token_id": invitation.token_id,
        "partner": policy.partner,
        "state": invitation.state,
        "clients_left": invitation.clients_left,
        "until": datetime.fromtimestamp(invitation.expires_at, UTC).isoformat(),
        "client_state": policy.client_state,
        "tier": policy.tier,
        "scopes": sorted(policy.scopes),
        "grant_types": sorted(policy.grant_types),
        "auth_methods": sorted(policy.auth_methods),
        "redirect_hosts": sorted(policy.redirect_hosts),
        "authorization_details_types": sorted(policy.authorization_details_types),
        "subject_types": sorted(policy.subject_types),
        "access_token_formats": sorted(policy.access_token_formats),
        "networks": list(policy.networks),
    }
