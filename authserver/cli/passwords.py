"""authserver passwords: the list of breached passwords that nobody may choose."""

from __future__ import annotations

from pathlib import Path

import click

from ..config import Settings
from ..errors import Invalid, NotDone
from ..login.breached import BreachedPasswords, FilterRefused, build
from .rooms import json_option, show

FILE = click.Path(path_type=Path)


@click.group()
def passwords() -> None:
    """Make and check the file of breached passwords, which is looked into offline."""


@passwords.command("import")
@click.argument("source", type=FILE)
@click.option("--to", "target", type=FILE, required=True, help="The file.")
@click.option("--plain", is_flag=True, help="SOURCE has passwords in the clear, one a line.")
@click.option("--least", type=click.IntRange(1), default=1, show_default=True, help="Leave rarer ones out.")
@json_option
def import_(source: Path, target: Path, plain: bool, least: int, as_json: bool) -> None:
    """Make the file from a folder of k-anonymity ranges, a sorted list of SHA1:COUNT, or a plain list.

    Name it in AUTHSERVER_BREACHED_PASSWORDS and restart; it is replaced whole.

    \b
    Example:
      authserver passwords import ranges --to breached.bin --least 10
    """
    try:
        count = build(source, target, plain=plain, least=least)
    except (FilterRefused, OSError) as error:
        raise Invalid(str(error)) from error
    size = target.stat().st_size
    told = {"file": str(target), "passwords": count, "bytes": size}
    show(told, as_json, f"{target}: {count} passwords, {size} bytes")


@passwords.command()
@json_option
def verify(as_json: bool) -> None:
    """Read the whole file that the settings name, and say whether it is as it was written.

    \b
    Example:
      authserver passwords verify
    """
    path = Settings.load().breached_passwords
    if path is None:
        raise NotDone("AUTHSERVER_BREACHED_PASSWORDS is not set: only the list that ships is used.")
    try:
        found = BreachedPasswords(path)
        found.verify()
    except FilterRefused as error:
        raise NotDone(str(error)) from error
    told = {"file": str(path), "passwords": found.count}
    show(told, as_json, f"{path}: {found.count} passwords, as written")
