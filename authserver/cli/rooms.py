"""What every command begins with: settings, the rooms, and who is at the terminal."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from .. import context, crypto, logs, migrate
from ..app import create_app, services_of
from ..config import PREFIX, Settings, SettingsRefused
from ..errors import Invalid, NotDone
from ..services import Services

# what `authserver demo run` leaves in the instance folder
DEMO_FILE = "demo.json"
# settings that the demo was started with, as its file tells them
OF_DEMO = ("issuer", "operator_name", "payment_sca")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")


# 128 random bits in base64url, of which one in 64 begins like an option
DASHED_ID = re.compile(r"-[A-Za-z0-9_-]{21}")


class CommandOfIds(click.Command):
    """A command whose arguments may be ids of this server: one that begins with a dash is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, dashed ids last and behind ``--``."""
        takes = {opt for one in self.params for opt in one.opts if not getattr(one, "is_flag", True)}
        known = {opt for one in self.params for opt in one.opts}
        before = [None, *args]
        ids = [
            arg
            for arg, previous in zip(args, before, strict=False)
            if DASHED_ID.fullmatch(arg) and arg not in known and previous not in takes and "--" not in args
        ]
        rest = [arg for arg in args if arg not in ids]
        return super().parse_args(ctx, [*rest, "--", *ids] if ids else args)


def open_rooms(*, migrated: bool = True) -> Services:
    """The rooms of the configured server; Invalid while its database is not at this code's revision."""
    settings = _settings()
    logs.configure("WARNING")
    try:
        _ = settings.master
    except ValueError as error:
        where = settings.instance_dir.resolve()
        raise Invalid(
            f"{error}. In development it is in {where}: go to the project's folder, set "
            "AUTHSERVER_INSTANCE_DIR, or run `authserver db upgrade` for a first start."
        ) from None
    name_caller()
    services = services_of(create_app(settings))
    click.get_current_context().call_on_close(services.database.engine.dispose)
    if migrated and migrate.current(services.database) != migrate.head():
        raise NotDone("The database is not up to date; run `authserver db upgrade` first.")
    return services


def _settings() -> Settings:
    """The settings; in development those of the demo that served last, where none are set.

    Links that a command prints then lead to the running demo, on whatever port it is, mails are in its name,
    and what is told of it is so.
    """
    settings = Settings.load()
    if settings.profile != "dev":
        return settings
    try:
        demo = json.loads((settings.instance_dir / DEMO_FILE).read_text("utf-8"))
        unset = [name for name in OF_DEMO if f"{PREFIX}{name.upper()}" not in os.environ]
        return Settings.load(**{name: demo[name] for name in unset if name in demo})
    except (OSError, ValueError, KeyError, TypeError, SettingsRefused):
        return settings


def name_caller() -> None:
    """Audit rows of this process name the command and the person who ran it."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        who = "unknown"
    command = click.get_current_context(silent=True)
    path = command.command_path if command else " ".join(sys.argv[:2])
    context.current.set(
        context.Caller(
            request_id=f"cli.{crypto.random_token(96)}",
            address="",
            resource=path[:200],
            actor=f"operator:{who}",
        )
    )


def show(value: Any, as_json: bool, text: str) -> None:
    """``value`` as JSON for programs, ``text`` for people."""
    click.echo(json.dumps(value, indent=2, sort_keys=True) if as_json else text)


def table(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> str:
    """``rows`` in aligned columns under a head."""
    cells = [columns, *([_cell(row[c]) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(sorted(map(str, value))) or "-"
    # what a caller sent (a user agent) commands nobody's terminal
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))
