"""The real-time analysis of a payment (PSD2 RTS art. 18(2)(c)): whether nothing about it is unlike its payer.

It looks at spending, device, network, country and client of this payment, and at how the session began. Of
malware, patterns of fraud and where the payee is nothing is known here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from sqlalchemy import Connection, select

from ... import clock
from ...db import table_of
from ...models.sign_in import SignIn
from ...models.user import User
from ..device_trust import DAY, DeviceTrust
from ..session_view import SessionView
from .assessment import Risk, Visit
from .history import Attempt

sign_ins = table_of(SignIn)
users = table_of(User)

# a stranger who knows a password makes a device known by signing in: the person hears of it meanwhile
SETTLED_SECONDS = 7 * DAY


class PaymentAnalysis:
    """Judges the payment that ``visit`` tells of, in ``session``."""

    def __init__(self, risk: Risk, devices: DeviceTrust, session: SessionView, visit: Visit) -> None:
        self._risk = risk
        self._devices = devices
        self._session = session
        self._visit = visit

    def prepare(self) -> None:
        """What takes other means than the database is looked up; for when no transaction is open."""
        _ = self._attempt

    def finds_nothing_in(self, connection: Connection) -> bool:
        """Whether everything that is looked at is known and as usual, as this transaction sees it."""
        user_id, visit = self._session.user_id, self._visit
        since = self._devices.known_since_in(connection, user_id, visit.device, visit.user_agent)
        if since is None or clock.now() - since < SETTLED_SECONDS or not self._began_well_in(connection):
            return False
        failures = select(users.c.failures).where(users.c.user_id == user_id)
        attempt = replace(
            self._attempt,
            device="known",
            account_failures=connection.execute(failures).scalar_one(),
        )
        sid = self._session.sid
        return self._risk.assessed_in(connection, user_id, visit, attempt, besides=sid).nothing_found

    @cached_property
    def _attempt(self) -> Attempt:
        return self._risk.attempt(self._visit)

    def _began_well_in(self, connection: Connection) -> bool:
        """Whether nothing stood out where the session began; one that began otherwise counts as strange."""
        mine = (sign_ins.c.sid == self._session.sid) & (sign_ins.c.user_id == self._session.user_id)
        query = select(sign_ins.c.device, sign_ins.c.verdict, sign_ins.c.points).where(mine)
        rows = connection.execute(query).all()
        return bool(rows) and all(tuple(row) == ("known", "allow", 0) for row in rows)
