"""authserver audit: read the log and prove it whole."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click

from ..audit import Entry, Event
from ..audit.chain import CHECKPOINT_TYP
from ..audit.search import Wanted, newest
from ..audit.verify import verify as verify_log
from ..services import Services
from .payment_evidence import payment_evidence
from .rooms import json_lines_option, json_option, open_rooms, show
from .users import find_user

# members of an event's detail that one goes on with: an id to ask for, and why a sign-in was judged so
TOLD = ("evidence", "gid", "jti", "points", "reasons")


@click.group()
def audit() -> None:
    """Verify and follow the audit log."""


audit.add_command(payment_evidence)


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
@click.option("--event", help="Of this name, or beginning so: login, login.failed.")
@click.option("--outcome", type=click.Choice(("succeeded", "denied", "failed")))
@click.option("--request", "request_id", help="Of one request: the reference on a page, X-Request-Id.")
@click.option("--user", help="About a person: a user name or e-mail address.")
@click.option("--client", "client_id", help="About a client.")
@click.option("--address", "client_ip", help="From this address.")
@json_lines_option
def tail(count: int, follow: bool, as_json: bool, user: str | None, **given: str | None) -> None:
    """The newest events, oldest first. Reading is an event itself.

    \b
    Examples:
      authserver audit tail -n 50
      authserver audit tail --follow --json
      authserver audit tail --request w__Mz1SvbutOvcA2E-4cJg
      authserver audit tail --event login --user alice --outcome denied
    """
    services = open_rooms()
    wanted = Wanted(user_id=find_user(services, user).user_id if user else None, **given)
    services.audit.record(Entry(Event.AUDIT_READ, detail={"count": count}))
    last = _print(services, wanted, (0, count), as_json)
    if not last:
        click.echo("authserver: no event says so", err=True)
    while follow:
        time.sleep(0.5)
        last = _print(services, wanted, (last, 10_000), as_json)


def _print(services: Services, wanted: Wanted, bounds: tuple[int, int], as_json: bool) -> int:
    """Events past the first bound, as many as the second; gives where to go on."""
    after, count = bounds
    with services.database.reading() as connection:
        found = newest(services.person_keys, connection, wanted, after, count)
    for row in found:
        click.echo(json.dumps(row, sort_keys=True) if as_json else _line(row))
    return int(found[-1]["id"]) if found else after


def _line(row: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(row["at_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
    seq = "-" if row["seq"] is None else row["seq"]
    whose = [f"{name}={row[name]}" for name in ("client_id", "user_id", "request_id") if row[name]]
    told = [row[name] for name in ("event", "outcome", "reason", "actor", "client_ip")]
    more = [f"{name}={_words(row['detail'][name])}" for name in TOLD if row["detail"].get(name)]
    return "  ".join(str(part) for part in (at, f"#{seq}", *told, *whose, *more) if part != "")


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
