"""The ``authserver`` command: one module a noun."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from ..config import Settings, SettingsRefused
from ..errors import Invalid, NotDone, Unavailable

NOT_DONE = 1
WRONG_INPUT = 2
# nouns whose commands are in a module of another name
ELSEWHERE = {"clients": "client_changes"}
NOUNS = (
    "audit", "clients", "db", "demo", "grants", "keys", "partners", "passwords", "risk", "scopes", "serve",
    "sessions", "status", "tiers", "tokens", "users",
)  # fmt: skip


class Commands(click.Group):
    """Commands whose failures are one sentence: exit 2 for wrong input, 1 for what is not there or down.

    Each is imported when it is asked for: what migrates, serves or simulates is slow to load.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in order."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The commands of a noun; None for what is none."""
        if cmd_name not in NOUNS:
            return None
        module = import_module(f".{ELSEWHERE.get(cmd_name, cmd_name)}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

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
            # only where it is needed: it costs as much as all else that `--version` loads
            from sqlalchemy import make_url

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
