"""Finding events: by what they say, and by time without an index of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, func, select

from .chain import rows


@dataclass(frozen=True, slots=True)
class Wanted:
    """What events must say; what is left out may be anything. ``event`` is a name or the beginning of one."""

    event: str | None = None
    outcome: str | None = None
    user_id: str | None = None
    client_id: str | None = None
    client_ip: str | None = None
    request_id: str | None = None


def newest(connection: Connection, wanted: Wanted, after: int, count: int) -> list[dict[str, Any]]:
    """The ``count`` newest events past the row ``after`` that say what is ``wanted``, oldest first."""
    query = select(rows).where(rows.c.id > after)
    for name in (field.name for field in fields(wanted)):
        value = getattr(wanted, name)
        if value is None:
            continue
        column = rows.c[name]
        query = query.where(column.startswith(value, autoescape=True) if name == "event" else column == value)
    found = connection.execute(query.order_by(rows.c.id.desc()).limit(count)).mappings().all()
    return [dict(row) for row in reversed(found)]


def first_since(connection: Connection, at_ms: int) -> int:
    """A row's id such that every event since ``at_ms`` has it or a higher one, but for clocks set back.

    Ids follow time, so halving finds it in some thirty looks at the primary key.
    """
    low, high = connection.execute(select(func.min(rows.c.id), func.max(rows.c.id))).one()
    if low is None:
        return 0
    while low < high:
        middle = (low + high) // 2
        next_at = select(rows.c.id, rows.c.at_ms).where(rows.c.id > middle).order_by(rows.c.id).limit(1)
        row = connection.execute(next_at).one()
        if row.at_ms < at_ms:
            low = row.id
        else:
            high = middle
    return int(low)
