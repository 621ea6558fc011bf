"""authserver passwords: the list of breached passwords that nobody may have here."""

from __future__ import annotations

from pathlib import Path

import click

from ..config import Settings
from ..errors import NotDone
from ..login import breach_import, breach_sources
from ..login.breach_filter import BreachFilter, Header
from .rooms import json_option, show

to_option = click.option(
    "--file", "file", type=click.Path(path_type=Path), default=None,
    help="The filter; that of AUTHSERVER_BREACHED_PASSWORDS if left out.",
)  # fmt: skip


@click.group()
def passwords() -> None:
    """Breached passwords: make the filter that screens passwords without any network, and check it."""


@passwords.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="SOURCE has passwords themselves, in UTF-8, one a line.")
@click.option(
    "--at-least", type=click.IntRange(1), default=1, show_default=True,
    help="Take hashes that were seen so often; less is a smaller filter.",
)  # fmt: skip
@to_option
@json_option
def import_(source: Path, plain: bool, at_least: int, file: Path | None, as_json: bool) -> None:
    """Make the filter from SOURCE: a folder of k-anonymity ranges, a file of SHA-1 hashes, or passwords.

    A range is a file named by the first five digits of its hashes (0A1B2.txt), with lines SUFFIX:COUNT;
    a file of hashes has lines HASH:COUNT or HASH. The filter takes the place of the old one whole; workers
    that run find it by themselves. Needs no database: it may be made on another machine and copied.

    \b
    Examples:
      authserver passwords import ranges/
      authserver passwords import pwned-passwords-sha1.txt --at-least 5
      authserver passwords import words.txt --plain --file breached.filter
    """
    path = _path(file)
    header = breach_import.write(path, breach_sources.keys(source, plain=plain, at_least=at_least))
    told = _told(path, header)
    note = ""
    if source.is_dir() and not plain:
        told["ranges"] = len(breach_sources.ranges(source))
        note = f"\nranges: {told['ranges']} of {breach_sources.ALL_RANGES}"
    show(told, as_json, _text(path, header) + note)


@passwords.command()
@to_option
@json_option
def check(file: Path | None, as_json: bool) -> None:
    """Read the whole filter, and say what it holds if every byte is as it was written.

    \b
    Example:
      authserver passwords check
    """
    path = _path(file)
    found = BreachFilter(path)
    found.verify()
    show(_told(path, found.header), as_json, _text(path, found.header))


def _path(file: Path | None) -> Path:
    path = file or Settings.load().breached_passwords
    if path is None:
        raise NotDone("Where is the filter? Set AUTHSERVER_BREACHED_PASSWORDS, or name it by --file.")
    return path


def _told(path: Path, header: Header) -> dict[str, object]:
    return {
        "file": str(path),
        "hashes": header.count,
        "bytes": header.size,
        "made_at": header.made_at,
        "false_positives": header.false_positives,
    }


def _text(path: Path, header: Header) -> str:
    return (
        f"{path}: {header.count} hashes in {header.size} bytes\n"
        f"false positives: one in {round(1 / header.false_positives)}"
    )
