"""Rate tiers as operators change them; ``throttle`` reads them."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from .audit import Audit, Entry, Event
from .cache import raise_version
from .db import Database, table_of
from .errors import Invalid, NotDone
from .models.scope import RateTier

table = table_of(RateTier)
ENDPOINTS = ("*", "token", "introspect", "revoke", "userinfo")


def listed(database: Database) -> list[dict[str, object]]:
    """Every row of every tier."""
    with database.reading() as connection:
        rows = connection.execute(select(table).order_by(table.c.tier, table.c.endpoint)).mappings().all()
    return [dict(row) for row in rows]


def known(database: Database, tier: str) -> None:
    """There is such a tier; Invalid names the ones there are."""
    names = sorted({str(row["tier"]) for row in listed(database)})
    if tier not in names:
        raise NotDone(f"There is no tier of this name; there are {', '.join(names)}.")


def change(database: Database, audit: Audit, tier: str, endpoint: str, limit: tuple[int, int]) -> None:
    """``tier`` allows ``limit`` (amount, seconds) at ``endpoint``, on every worker at once."""
    amount, seconds = limit
    if endpoint not in ENDPOINTS:
        raise Invalid(f"The endpoint is one of {', '.join(ENDPOINTS)}; * is every one not named.")
    if not (1 <= amount <= 10**9 and 1 <= seconds <= 86_400):
        raise Invalid("A limit is at least one request, in 1 to 86400 seconds.")
    with database.writing() as connection:
        connection.execute(delete(table).where(table.c.tier == tier, table.c.endpoint == endpoint))
        row = {"tier": tier, "endpoint": endpoint, "amount": amount, "seconds": seconds}
        connection.execute(insert(table).values(row))
        raise_version(connection, "tiers")
        audit.record_in(connection, Entry(Event.TIER_CHANGED, detail=row))
