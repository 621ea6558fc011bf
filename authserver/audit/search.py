"""Finding events: by what they say, and by time without an index of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, func, select, text

from .chain import rows
from .person_keys import PersonKeys
from .personal import opened

BATCH = 2000
# said in words so that the index of people's rows is used
OF_PEOPLE = text("audit_event.user_id <> ''")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What events must say; what is left out may be anything. ``event`` is a name or the beginning of one."""

    event: str | None = None
    outcome: str | None = None
    user_id: str | None = None
    client_id: str | None = None
    client_ip: str | None = None
    request_id: str | None = None


def newest(
    people: PersonKeys, connection: Connection, wanted: Wanted, after: int, count: int
) -> list[dict[str, Any]]:
    """The ``count`` newest events past the row ``after`` that say what is ``wanted``, oldest first.

    What is personal is open to whoever reads. No address of a person can be searched for in the table, so
    that rows are opened until enough of them have it.
    """
    query = select(rows).where(rows.c.id > after)
    for name in (field.name for field in fields(wanted)):
        value = getattr(wanted, name)
        if value is None or name == "client_ip":
            continue
        column = rows.c[name]
        query = query.where(column.startswith(value, autoescape=True) if name == "event" else column == value)
    if wanted.user_id is not None:
        query = query.where(OF_PEOPLE)
    query = query.order_by(rows.c.id.desc())
    found: list[dict[str, Any]] = []
    part = connection.execute(query.limit(count)).mappings().all()
    while part and len(found) < count:
        opened_ = opened(people, connection, part)
        found += [row for row in opened_ if wanted.client_ip in (None, row["client_ip"])]
        if wanted.client_ip is None:
            break
        part = connection.execute(query.where(rows.c.id < part[-1]["id"]).limit(BATCH)).mappings().all()
    return found[:count][::-1]


def of_person(
    people: PersonKeys, connection: Connection, user_id: str, events: Collection[str], before: int, count: int
) -> list[dict[str, Any]]:
    """Up to ``count`` of these events about the person, the newest first, of rows below the id ``before``.

    What is personal is open while the person's key exists.
    """
    mine = rows.c.user_id == user_id
    query = select(rows).where(mine, OF_PEOPLE, rows.c.id < before, rows.c.event.in_(events))
    found = connection.execute(query.order_by(rows.c.id.desc()).limit(count)).mappings().all()
    return opened(people, connection, found)


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
