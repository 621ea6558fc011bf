"""The ``authserver`` command: one module a noun."""

from __future__ import annotations

import sys

import click
from sqlalchemy import make_url

from ..config import Settings, SettingsRefused
from ..errors import Invalid, Unavailable
from . import audit, client_changes, db, demo, keys, partners, scopes, serve, tiers, users

WRONG_INPUT = 2


class Commands(click.Group):
    """Commands whose failures are one sentence: exit 2 for wrong input, 1 when something is down."""

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
            sys.exit(WRONG_INPUT)
        except Unavailable as error:
            place = make_url(Settings.load().database).render_as_string(hide_password=True)
            click.echo(
                f"authserver: {error} at {place}. Is it running and writable, and the address right?",
                err=True,
            )
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authserver")
def main() -> None:
    """An OAuth 2.0 authorization server for payment APIs.

    Settings come from the environment as AUTHSERVER_…; see README.md.
    """


for command in (
    serve.serve,
    db.db,
    keys.keys,
    client_changes.clients,
    partners.partners,
    users.users,
    scopes.scopes,
    tiers.tiers,
    audit.audit,
    demo.demo,
):
    main.add_command(command)
