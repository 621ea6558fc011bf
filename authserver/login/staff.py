"""Who works here or for a partner, and what PCI DSS 8 asks of them beyond what is asked of customers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import String, cast, or_, select

from .. import clock
from ..config import Settings
from ..db import Database, table_of
from ..errors import NotDone
from ..models.user import User
from ..users import UserRecord, Users

users = table_of(User)

# PCI DSS 8.2.6: an account that nobody used for so long is disabled
UNUSED_SECONDS = 90 * 86_400
# PCI DSS 8.2.8: after so long without activity the person proves anew who they are
IDLE_SECONDS = 900
BATCH = 100


class Staff:
    """Knows staff by their groups."""

    def __init__(self, settings: Settings) -> None:
        self.groups = frozenset(settings.staff_groups)
        self.passkey_only = settings.staff_passwords == "passkey_only"

    def has(self, groups: Iterable[str]) -> bool:
        """Whether somebody in ``groups`` is staff."""
        return not self.groups.isdisjoint(groups)

    def idle(self, groups: Iterable[str], idle: int) -> int:
        """Seconds without activity until their session ends, where that of others ends after ``idle``."""
        return min(idle, IDLE_SECONDS) if self.has(groups) else idle

    def unused(self, user: UserRecord) -> bool:
        """Whether the account is of staff and was left unused for too long."""
        used = user.last_used_at
        return self.has(user.groups) and used is not None and used < clock.now() - UNUSED_SECONDS


class UnusedAccounts:
    """Disables accounts of staff that nobody uses."""

    def __init__(self, database: Database, users: Users, staff: Staff) -> None:
        self._database = database
        self._users = users
        self._staff = staff

    def found(self) -> list[str]:
        """The user ids of some who are to be disabled."""
        # a JSON list of plain names, as text on either database
        named = [
            cast(users.c.groups, String).contains(f'"{group}"', autoescape=True)
            for group in self._staff.groups
        ]
        if not named:
            return []
        query = select(users.c.user_id).where(
            users.c.state == "active", users.c.last_used_at < clock.now() - UNUSED_SECONDS, or_(*named)
        )
        with self._database.reading() as connection:
            return list(connection.execute(query.limit(BATCH)).scalars())

    def disable(self) -> int:
        """Each of them is disabled, but who has just come back; gives how many."""
        return sum(self.disabled(user_id) for user_id in self.found())

    def refused(self, user_id: str) -> bool:
        """Whether the account was left unused for too long; it is disabled then, before any job comes."""
        return self._staff.unused(self._users.must(user_id)) and self.disabled(user_id)

    def disabled(self, user_id: str) -> bool:
        """The account is disabled; False if it was used meanwhile."""
        try:
            self._users.disable_unused(user_id, clock.now() - UNUSED_SECONDS)
        except NotDone:
            return False
        return True
