"""authserver audit: read the log and prove it whole."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import select

from ..audit import Entry, Event
from ..audit.chain import CHECKPOINT_TYP, rows
from ..audit.verify import verify as verify_log
from ..services import Services
from .rooms import json_option, open_rooms, show


@click.group()
def audit() -> None:
    """Verify and follow the audit log."""


@audit.command()
@json_option
def verify(as_json: bool) -> None:
    """Check every row against the chain, its head and the signed checkpoints.

    Exits 1 and names the first bad sequence number if a row was changed, removed, moved or cut off.

    \b
    Example:
      authserver audit verify
    """
    services = open_rooms()
    verdict = verify_log(
        services.database,
        services.master,
        lambda jws: services.keys.verify_checkpoint(jws, CHECKPOINT_TYP),
        services.settings.audit_anchor,
    )
    detail = {"rows": verdict.rows, "first_bad": verdict.first_bad, "fault": verdict.fault}
    if verdict.whole:
        services.audit.record(Entry(Event.AUDIT_VERIFIED, detail={"rows": verdict.rows}))
    else:
        services.audit.record(Entry(Event.AUDIT_CHAIN_BROKEN, "failed", "chain", detail=detail))
    place = f" at sequence number {verdict.first_bad}" if verdict.first_bad else ""
    text = (
        f"The log is whole: {verdict.rows} rows in the chain, {verdict.unsealed} not sealed yet."
        if verdict.whole
        else f"The log is broken{place}: {verdict.fault}."
    )
    show(detail | {"whole": verdict.whole, "unsealed": verdict.unsealed}, as_json, text)
    if not verdict.whole:
        sys.exit(1)


@audit.command()
@click.option(
    "-n", "count", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many events."
)
@click.option("--follow", is_flag=True, help="Go on as events come, until interrupted.")
@json_option
def tail(count: int, follow: bool, as_json: bool) -> None:
    """The newest events, oldest first. Reading is an event itself.

    \b
    Examples:
      authserver audit tail -n 50
      authserver audit tail --follow --json
    """
    services = open_rooms()
    services.audit.record(Entry(Event.AUDIT_READ, detail={"count": count}))
    last = _print(services, 0, count, as_json)
    while follow:
        time.sleep(0.5)
        last = _print(services, last, 10_000, as_json)


def _print(services: Services, after: int, count: int, as_json: bool) -> int:
    query = select(rows).where(rows.c.id > after).order_by(rows.c.id.desc()).limit(count)
    with services.database.reading() as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
    for row in reversed(found):
        click.echo(json.dumps(row, sort_keys=True) if as_json else _line(row))
    return int(found[0]["id"]) if found else after


def _line(row: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(row["at_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
    seq = "-" if row["seq"] is None else row["seq"]
    parts = [at, f"#{seq}", row["event"], row["outcome"], row["reason"], row["actor"], row["client_ip"]]
    return "  ".join(str(part) for part in parts if part != "")
