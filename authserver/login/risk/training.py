"""Learning from the sign-ins that this server has seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from ...db import Database, table_of
from ...models.sign_in import SignIn
from .history import MOST_PAST, History
from .rows import attempt_of, past_of
from .signals import Signals, observe

table = table_of(SignIn)

BATCH = 1000


def sign_ins(database: Database) -> Iterator[Signals]:
    """The signals of every completed sign-in as they were then, person by person, each in order."""
    person, before = "", deque[Any](maxlen=MOST_PAST)
    after: tuple[str, int, str] = ("", 0, "")
    while True:
        key = (table.c.user_id, table.c.at, table.c.id)
        later = (
            (table.c.user_id > after[0])
            | ((table.c.user_id == after[0]) & (table.c.at > after[1]))
            | ((table.c.user_id == after[0]) & (table.c.at == after[1]) & (table.c.id > after[2]))
        )
        query = select(table).where(table.c.completed_at.is_not(None), later).order_by(*key).limit(BATCH)
        with database.reading() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            if row.user_id != person:
                person, before = row.user_id, deque(maxlen=MOST_PAST)
            # read as they are when a sign-in is judged: amounts in its currency alone
            yield observe(attempt_of(row), History(tuple(past_of(one, {}, row.currency) for one in before)))
            before.appendleft(row)
        if len(rows) < BATCH:
            return
        after = (rows[-1].user_id, rows[-1].at, rows[-1].id)
