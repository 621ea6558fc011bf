"""authserver status: how the server fares, in one look."""

from __future__ import annotations

import sys
from typing import Any

import click
from sqlalchemy import func, select

from .. import clock, leases, migrate
from ..audit.chain import rows
from ..db import table_of
from ..models.logout import LogoutDelivery
from ..services import Services
from .rooms import json_option, open_rooms, show

# one of them runs every minute wherever a worker does
JOB_SECONDS = 300
# rows are sealed within half a second of being written, those that wait longer wait for a sealer
UNSEALED_SECONDS = 60
# a message that could be sent leaves within seconds
MAIL_SECONDS = 900


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Tell how the server fares: database, Redis, keys, jobs, audit log, and what waits for somebody.

    Asks the database and Redis from here, so it works while no worker does. Exits 1 if something is wrong;
    docs/operations.md says of each line what to do.

    \b
    Examples:
      authserver status
      authserver status --json
    """
    services = open_rooms(migrated=False)
    told, wrong = _look(services)
    told["wrong"] = wrong
    lines = [f"{name}: {_in_words(value)}" for name, value in told.items() if name != "wrong"]
    lines += [f"! {fault}" for fault in wrong] or ["All is well."]
    show(told, as_json, "\n".join(lines))
    if wrong:
        sys.exit(1)


def _look(services: Services) -> tuple[dict[str, Any], list[str]]:
    """What there is to see, and a sentence for each thing that is wrong."""
    services.database.probe()
    revision, head = migrate.current(services.database), migrate.head()
    told: dict[str, Any] = {"issuer": services.settings.issuer, "revision": revision}
    if revision != head:
        return told, [f"The database is at {revision}, the code at {head}: run `authserver db upgrade`."]
    looks = (_redis, _keys, _payments, _jobs, _audit, _mail, _waiting)
    wrong = [fault for look in looks for fault in look(services, told)]
    return told, wrong


def _redis(services: Services, told: dict[str, Any]) -> list[str]:
    services.throttle.restore()
    told["redis"] = {None: "not set", True: "answers", False: "lost"}[services.throttle.shared]
    lost = "Redis is lost: limits are counted in each worker alone, and stricter."
    return [lost] if services.throttle.shared is False else []


def _keys(services: Services, told: dict[str, Any]) -> list[str]:
    published = services.keys.published()
    states = sorted(f"{key.alg} {key.state}" for key in published)
    told["keys"] = states
    wanted = f"{services.settings.access_token_alg} active"
    missing = f"No key signs access tokens ({wanted}): run `authserver db upgrade`."
    return [] if wanted in states else [missing]


def _payments(services: Services, told: dict[str, Any]) -> list[str]:
    by = "passkeys alone"
    if services.payment_factors.codes:
        # not specific to amount and payee
        by = "passkeys or TOTP: PSD2 RTS art. 5(1) is not met"
    told["payments"] = f"approved by {by}" if services.settings.payments_open else "none are possible"
    return []


def _jobs(services: Services, told: dict[str, Any]) -> list[str]:
    states = leases.states(services.database)
    told["jobs"] = {
        state.job: {"last_run": state.last_run, "last_error": state.last_error} for state in states
    }
    wrong = [
        f"The job {state.job} failed the last time: {state.last_error}; the log says where."
        for state in states
        if state.last_error
    ]
    last = max((state.last_run or 0 for state in states), default=0)
    if last and last < clock.now() - JOB_SECONDS:
        wrong.append("No job has run for five minutes: does a worker run?")
    return wrong


def _audit(services: Services, told: dict[str, Any]) -> list[str]:
    oldest = select(func.count(), func.min(rows.c.at_ms)).where(rows.c.seq.is_(None))
    with services.database.reading() as connection:
        count, since = connection.execute(oldest).one()
    told["unsealed"] = count
    if count and since < (clock.now() - UNSEALED_SECONDS) * 1000:
        return ["Audit rows have waited for over a minute to be sealed: does a worker run?"]
    return []


def _mail(services: Services, told: dict[str, Any]) -> list[str]:
    queue = services.mail.waiting()
    told["mail"] = f"{queue.count} waiting" if services.mail.on else "no SMTP server is set"
    late = f"Messages to people have waited for {queue.oldest // 60} minutes: does the SMTP server take them?"
    return [late] if queue.oldest > MAIL_SECONDS else []


def _waiting(services: Services, told: dict[str, Any]) -> list[str]:
    told["pending_clients"] = sum(client.state == "pending" for client in services.clients.all())
    with services.database.reading() as connection:
        query = select(func.count()).select_from(table_of(LogoutDelivery))
        told["logout_calls"] = connection.execute(query).scalar_one()
    return []


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner['last_error'] or 'ok'}" for name, inner in value.items()) or "none"
    return str(value)
