"""What happens when a person says that a sign-in was not theirs: everything that is signed in has ended."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete

from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.person import EmailChange, ErasureRequest
from .mfa import Tell

email_changes = table_of(EmailChange)
erasures = table_of(ErasureRequest)

REASON = "not_recognised"
# what a person has at this server ends, in the same transaction: (connection, user_id, reason)
Ends = Callable[[Connection, str, str], None]


class Recovery:
    """Takes an account back from whoever else is in it."""

    def __init__(self, database: Database, audit: Audit, tell: Tell, ends: Ends) -> None:
        self._database = database
        self._audit = audit
        self._tell = tell
        self._ends = ends

    def start(self, user_id: str, event_id: int) -> None:
        """The person is signed out everywhere, applications with them, and told what comes next.

        ``event_id`` is the row of the sign-in that they do not know.
        """
        with self._database.writing() as connection:
            self._ends(connection, user_id, REASON)
            # what a stranger may have begun in their name
            connection.execute(delete(email_changes).where(email_changes.c.user_id == user_id))
            mine = erasures.c.user_id == user_id
            if connection.execute(delete(erasures).where(mine)).rowcount:
                self._audit.record_in(connection, Entry(Event.USER_ERASURE_CANCELLED, user_id=user_id))
            entry = Entry(Event.RECOVERY_STARTED, user_id=user_id, detail={"row": event_id})
            self._audit.record_in(connection, entry)
            self._tell(connection, user_id, "recovery_started", {})
