"""The ``authserver`` command: one module a noun."""

from __future__ import annotations

import sys

import click
from sqlalchemy import make_url

from ..config import Settings, SettingsRefused
from ..errors import Invalid, NotDone, Unavailable
from . import (
    audit,
    client_changes,
    db,
    demo,
    grants,
    keys,
    partners,
    passwords,
    risk,
    scopes,
    serve,
    sessions,
    status,
    tiers,
    tokens,
    users,
)

NOT_DONE = 1
WRONG_INPUT = 2


class Commands(click.Group):
    """Commands whose failures are one sentence: exit 2 for wrong input, 1 for what is not there or down."""

    def invoke(self, ctx: click.Context) -> object:
        """The command ran, or its failure was told."""
        try:
            return super().invoke(ctx)
        except SettingsRefused as error:
            for reason in error.reasons:
                click.echo(f"authserver: {reason}", err=True)
            sys.exit(WRONG_INPUT)
        except Invalid as error:
            click.echo(f"authserver: {error}", err=True)
            sys.exit(NOT_DONE if isinstance(error, NotDone) else WRONG_INPUT)
        except Unavailable as error:
            place = make_url(Settings.load().database).render_as_string(hide_password=True)
            click.echo(
                f"authserver: {error} at {place}. Is it running and writable, and the address right?",
                err=True,
            )
            sys.exit(NOT_DONE)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authserver")
def main() -> None:
    """An OAuth 2.0 authorization server for payment APIs.

    Settings come from the environment as AUTHSERVER_…; see README.md. At three in the morning begin with
    `authserver status`, and docs/operations.md.

    Exit codes: 0 done; 1 nothing of that name, refused as things are, or something is down; 2 wrong usage or
    settings. Every change is an event of the audit log, with your name on this machine as its actor.
    """


for command in (
    serve.serve,
    db.db,
    keys.keys,
    client_changes.clients,
    partners.partners,
    users.users,
    passwords.passwords,
    sessions.sessions,
    grants.grants,
    tokens.tokens,
    scopes.scopes,
    tiers.tiers,
    audit.audit,
    risk.risk,
    status.status,
    demo.demo,
):
    main.add_command(command)
