"""Judging sign-ins by what was recorded of those before them, and recording them.

Score and reasons go to the audit log alone: an answer shows only what must be proved besides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, insert, select, true, update

from ... import clock, crypto
from ...audit import Audit, Entry, Event
from ...audit.record import UNPROVED
from ...config import Settings
from ...db import Database, table_of
from ...errors import Unavailable
from ...models.sign_in import SignIn
from ...users import UserRecord
from ..device_trust import DAY, DeviceTrust
from ..limits import LoginLimits
from ..mfa import Tell
from ..session_view import SessionView
from ..user_agent import describe, kind_of
from . import model, rules
from .history import MOST_PAST, Attempt, History
from .places import Marks, Places
from .rows import attempt_values, past_of
from .signals import observe
from .verdict import Assessed, Person, Thresholds, Verdict, decide

table = table_of(SignIn)

# refusals of a process whose rows are not written yet; beyond that the oldest are in the audit log alone
MOST_UNSETTLED = 1000
# who is judged where nobody is, and what they did
NOBODY = UserRecord("", "", None, "", "", None, 0, None, 0)
NO_ROW = SimpleNamespace(
    at=0, network="", wide="", country="", latitude=0, longitude=0, anonymising=None,
    device="", agent="", client_id="", amount=None, currency="",
)  # fmt: skip
# how long other people's sign-ins from the same network count, and how many are told apart
NEIGHBOUR_SECONDS, MOST_NEIGHBOURS = 3600, 4


@dataclass(frozen=True, slots=True)
class Visit:
    """From where somebody signs in, on what, for which client; ``amount`` in units of ``currency``."""

    address: str
    user_agent: str
    device: str | None = None
    client_id: str = ""
    amount: int | None = None
    currency: str = ""


@dataclass(frozen=True)
class Rooms:
    """What judging needs besides: ``person`` tells what somebody can prove."""

    devices: DeviceTrust
    limits: LoginLimits
    audit: Audit
    person: Callable[[UserRecord], Person]
    tell: Tell


class Risk:
    """Judges and records sign-ins."""

    def __init__(
        self, settings: Settings, database: Database, master: crypto.MasterKeys, rooms: Rooms
    ) -> None:
        self._database = database
        self._marks = Marks(master)
        self._places = Places(self._marks, settings.risk_geo_database, settings.risk_anonymisers)
        self._model = None if settings.risk_model is None else model.read(settings.risk_model)
        self._thresholds = Thresholds(settings.risk_step_up, settings.risk_strong, settings.risk_deny)
        self._kept = settings.risk_history_days * DAY
        self._places_known = settings.risk_geo_database is not None
        self._devices = rooms.devices
        self._limits = rooms.limits
        self._audit = rooms.audit
        self._person = rooms.person
        self._tell = rooms.tell
        self._unsettled: deque[Callable[[], None]] = deque(maxlen=MOST_UNSETTLED)

    def assess(self, user: UserRecord | None, visit: Visit, failures: int) -> Verdict:
        """What is asked of the person besides their right password; ``failures`` went before it in a row.

        Judging nobody costs as much as judging somebody, and its verdict means nothing.
        """
        user = NOBODY if user is None else user
        device = self._devices.state(user.user_id, visit.device, visit.user_agent)
        attempt = replace(self.attempt(visit), device=device, account_failures=failures)
        with self._database.reading() as connection:
            assessed = self.assessed_in(connection, user.user_id, visit, attempt)
        return decide(assessed, self._person(user), self._thresholds)

    def attempt(self, visit: Visit) -> Attempt:
        """What is known of a visit before it is known whose it is. Ask while no transaction is open."""
        return Attempt(
            clock.now(),
            self._places.of(visit.address),
            agent=self._marks.of("agent", kind_of(visit.user_agent)),
            client=visit.client_id,
            amount=visit.amount,
            address_failures=self._limits.failures(visit.address),
        )

    def assessed_in(
        self, connection: Connection, user_id: str, visit: Visit, attempt: Attempt, besides: str = ""
    ) -> Assessed:
        """How unlike the person ``attempt``, made of ``visit``, is; the session ``besides`` is no history."""
        attempt = replace(attempt, neighbours=self._neighbours(connection, user_id, attempt))
        return self._judged(attempt, self._history(connection, user_id, visit, besides))

    def record_in(
        self, connection: Connection, user_id: str, visit: Visit, verdict: Verdict, sid: str = ""
    ) -> None:
        """The sign-in, which started the session ``sid``, is on record; the person hears of a strange one."""
        assessed = verdict.assessed
        assert assessed is not None  # as ``assess`` gave it
        values = self._values(user_id, visit, verdict, assessed, sid)
        connection.execute(insert(table).values(values))
        self._audit.record_in(connection, _entry(user_id, sid, verdict, assessed))
        if assessed.strange:
            self._tell(connection, user_id, "new_sign_in", {"device": describe(visit.user_agent)})

    def refused(self, user_id: str, visit: Visit, verdict: Verdict) -> Entry:
        """What the audit log is to have of a refusal; the rest of it is written by ``settle``.

        So the answer costs what one to a wrong password does. A process that is killed before loses the mail.
        """
        assessed = verdict.assessed
        assert assessed is not None  # as ``assess`` gave it
        values = self._values(user_id, visit, verdict, assessed, "")

        def write() -> None:
            with self._database.writing() as connection:
                connection.execute(insert(table).values(values))
                device = {"device": describe(visit.user_agent)}
                self._tell(connection, user_id, "sign_in_refused", device)

        # the mail names the address of the request
        self._unsettled.append(partial(copy_context().run, write))
        return _entry(user_id, "", verdict, assessed)

    def settle(self) -> None:
        """What refusals left to write is written, and people hear of them; Unavailable if it cannot be."""
        while self._unsettled:
            try:
                write = self._unsettled.popleft()
            except IndexError:
                return
            try:
                write()
            except Unavailable:
                self._unsettled.appendleft(write)
                raise

    def proved(self, user: UserRecord, sid: str, visit: Visit) -> None:
        """A sign-in by a passkey, which started the session ``sid``, is on record: no more can be asked."""
        verdict = Verdict("allow", assessed=self.assess(user, visit, 0).assessed)
        with self._database.writing() as connection:
            self.record_in(connection, user.user_id, visit, verdict, sid)

    def completed(self, session: SessionView, visit: Visit) -> str | None:
        """The cookie by which the device is known as its session is complete; None if that is nothing new.

        The session's sign-in becomes part of the person's history.
        """
        mine = (table.c.sid == session.sid) & (table.c.user_id == session.user_id)
        last = select(table.c.id).where(mine).order_by(table.c.at.desc(), table.c.id).limit(1)
        fresh = (table.c.id == last.scalar_subquery()) & table.c.completed_at.is_(None)
        with self._database.writing() as connection:
            if connection.execute(update(table).where(fresh).values(completed_at=clock.now())).rowcount != 1:
                return None
            return self._devices.remember_in(connection, session.user_id, visit.device, visit.user_agent)

    def refresh_fault(self, user_id: str, client_id: str, address: str) -> str:
        """Why a token may not be refreshed from there; empty if it may, or if places are not known at all.

        From a country that the person never signed in from, or too far away for the time since they did, they
        sign in anew. It is judged by the place alone: whoever calls is a program, in a browser or not.
        """
        if not self._places_known:
            return ""
        attempt = Attempt(clock.now(), self._places.of(address), client=client_id)
        with self._database.reading() as connection:
            history = self._history(connection, user_id, Visit(address, ""))
        signals = observe(attempt, history)
        fault = "impossible_travel" if signals.travel == "impossible" else ""
        fault = fault or ("new_country" if signals.country == "new" else "")
        if fault:
            self._audit.record(
                Entry(Event.RISK_ASSESSED, "denied", fault, client_id, user_id, detail={"of": "refresh"})
            )
        return fault

    def _values(
        self, user_id: str, visit: Visit, verdict: Verdict, assessed: Assessed, sid: str
    ) -> dict[str, Any]:
        return attempt_values(assessed.attempt) | {
            "id": crypto.identifier(),
            "user_id": user_id,
            "currency": visit.currency,
            "verdict": verdict.kind,
            "points": assessed.score.points,
            "sid": sid,
            "expires_at": assessed.attempt.at + self._kept,
        }

    def _judged(self, attempt: Attempt, history: History) -> Assessed:
        signals = observe(attempt, history)
        surprise = None if self._model is None else self._model.surprise(signals)
        unlikely = self._model is not None and self._model.unlikely(signals)
        return Assessed(attempt, signals, rules.score(signals), surprise, unlikely)

    def _history(self, connection: Connection, user_id: str, visit: Visit, besides: str = "") -> History:
        others = table.c.sid != besides if besides else true()
        query = (
            select(table)
            .where(table.c.user_id == user_id, table.c.completed_at.is_not(None), others)
            .order_by(table.c.completed_at.desc())
            .limit(MOST_PAST)
        )
        # what rests under a master key before this one reads as it would under this
        names = self._places.renamed(visit.address)
        names |= self._marks.renamed("agent", kind_of(visit.user_agent))
        rows: Sequence[Any] = connection.execute(query).all()
        if not user_id:
            rows = [NO_ROW] * MOST_PAST
        return History(tuple(past_of(row, names, visit.currency) for row in rows))

    @staticmethod
    def _neighbours(connection: Connection, user_id: str, attempt: Attempt) -> int:
        """How many other people had the right password on the same network lately."""
        if not attempt.place.network:
            return 0
        lately = table.c.at > attempt.at - NEIGHBOUR_SECONDS
        query = (
            select(table.c.user_id)
            .where(table.c.network == attempt.place.network, lately, table.c.user_id != user_id)
            .distinct()
            .limit(MOST_NEIGHBOURS)
        )
        return len(connection.execute(query).all())


def _entry(user_id: str, sid: str, verdict: Verdict, assessed: Assessed) -> Entry:
    detail: dict[str, Any] = {
        "verdict": verdict.kind,
        "acr": verdict.acr,
        "points": assessed.score.points,
        "reasons": dict(assessed.score.reasons),
    }
    if assessed.surprise is not None:
        detail |= {"surprise": assessed.surprise.amount, "moved": dict(assessed.surprise.moved)}
    outcome = "denied" if verdict.kind == "deny" else "succeeded"
    actor = UNPROVED if verdict.kind == "deny" else ""
    return Entry(Event.RISK_ASSESSED, outcome, assessed.reason, "", user_id, sid, actor, detail=detail)  # type: ignore[arg-type]
