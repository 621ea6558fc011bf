"""Logging in with a password: the same answer and the same work, whoever it is and whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from .. import acr
from ..audit import Audit, Entry, Event
from ..audit.record import UNPROVED
from ..db import Database
from ..users import Attempts, UserRecord, Users
from .limits import LoginLimits
from .password import PasswordHasher, usable
from .password_rules import PasswordRules
from .policy import Asked
from .risk.assessment import Risk, Visit
from .risk.verdict import Verdict
from .session import Sessions
from .session_view import Login
from .staff import UnusedAccounts

AMR_PASSWORD = ("pwd",)  # RFC 8176 §2
# What is entered as a name is cut here before it is looked up.
MAX_LOGIN_NAME = 320


@dataclass(frozen=True)
class Browser:
    """From where a person logs in, the cookies of session and device that this browser has, and for what."""

    address: str
    user_agent: str
    session: str | None
    device: str | None = None
    asked: Asked | None = None

    @property
    def visit(self) -> Visit:
        """What risk is judged by."""
        asked = self.asked or Asked("")
        return Visit(
            self.address, self.user_agent, self.device, asked.client_id, *_units(asked.amount, asked.currency)
        )


@dataclass(frozen=True)
class Rooms:
    """What a login needs besides: ``demand`` tells which acr a person's session must reach."""

    users: Users
    sessions: Sessions
    limits: LoginLimits
    audit: Audit
    demand: Callable[[UserRecord], str]
    risk: Risk
    rules: PasswordRules
    unused: UnusedAccounts


@dataclass(frozen=True, slots=True)
class Right:
    """A right password: whose, the number of the attempt, its new hash, and why it must be changed if so.

    ``verdict`` is what risk asks besides.
    """

    user: UserRecord
    number: int
    new_hash: str | None
    change_due: str
    verdict: Verdict


class PasswordLogin:
    """Judges a name and a password."""

    def __init__(self, database: Database, hasher: PasswordHasher, rooms: Rooms) -> None:
        self._database = database
        self._attempts = Attempts(database)
        self._hasher = hasher
        self._users = rooms.users
        self._sessions = rooms.sessions
        self._limits = rooms.limits
        self._audit = rooms.audit
        self._demand = rooms.demand
        self._risk = rooms.risk
        self._rules = rooms.rules
        self._unused = rooms.unused

    def attempt(self, login_name: str, password: str, browser: Browser) -> str | None:
        """The cookie of a new session, or None: why it failed is in the audit log alone.

        The session counts when it has reached what is demanded of the person: a second factor may follow.

        The attempt is counted and committed first and verified after, with no transaction open; what was
        verified is checked once more in the transaction that starts the session.
        """
        if not usable(password):
            self._failed(None, "bad_password", 0)
            return None
        with self._hasher.place():
            user = self._users.find(login_name[:MAX_LOGIN_NAME])
            number = self._attempts.reserve(None if user is None else user.user_id)
            fits = self._hasher.verify(None if user is None else user.password_hash, password)
            if user is None or number == 0 or not fits:
                # a right password is judged before it is refused: so the others are, too
                self._risk.assess(None, browser.visit, 0)
                self._failed(user, _reason(user, number), number)
                return None
            verdict = self._risk.assess(user, browser.visit, number - 1)
            if verdict.kind == "deny":
                # the attempt counts as one that failed: whoever has the password learns nothing by it
                told = self._risk.refused(user.user_id, browser.visit, verdict)
                self._failed(user, "risk", number, told)
                return None
            outdated = self._hasher.outdated(str(user.password_hash))
            new_hash = self._hasher.hash(password) if outdated else None
        if reason := self._rules.login_refused(user):
            if reason == "unused":
                self._unused.disabled(user.user_id)
            self._failed(user, reason, number)
            return None
        right = Right(user, number, new_hash, self._rules.change_due(user, password), verdict)
        return self._start(right, browser)

    def _start(self, right: Right, browser: Browser) -> str | None:
        # risk raises what is demanded, and never lowers it
        user, verdict = right.user, right.verdict
        demand, confirm = acr.highest(self._demand(user), verdict.acr), verdict.kind == "confirm"
        whole = acr.reaches(acr.PASSWORD, demand) and not confirm
        login = Login(
            user.user_id,
            acr.PASSWORD,
            AMR_PASSWORD,
            browser.address,
            browser.user_agent,
            demand,
            confirm,
            change_password=bool(right.change_due),
        )
        detail: dict[str, Any] = {"amr": list(AMR_PASSWORD)}
        detail |= {"change_password": right.change_due} if right.change_due else {}
        with self._database.writing() as connection:
            if held := self._attempts.succeeded_in(
                connection, user, right.number, right.new_hash, whole=whole
            ):
                cookie = self._sessions.start_in(connection, login, browser.session)
                entry = Entry(Event.LOGIN_SUCCEEDED, user_id=user.user_id, detail=detail)
                self._audit.record_in(connection, entry)
                sid = self._sessions.sid_in(connection, cookie)
                self._risk.record_in(connection, user.user_id, browser.visit, verdict, sid)
        if not held:
            self._failed(user, "changed_meanwhile", 0)
            return None
        self._limits.succeeded(browser.address)
        return cookie

    def _failed(self, user: UserRecord | None, reason: str, number: int, *told: Entry) -> None:
        user_id = "" if user is None else user.user_id
        failed = Entry(Event.LOGIN_FAILED, "denied", reason, user_id=user_id, actor=UNPROVED)
        self._limits.failed(failed, number, *told)


def _reason(user: UserRecord | None, number: int) -> str:
    if user is None:
        return "unknown_user"
    if user.state == "disabled":
        return "disabled"
    if user.state == "invited":
        return "unverified"
    return "bad_password" if number else "blocked"


def _units(amount: str | None, currency: str | None) -> tuple[int | None, str]:
    """An amount as it is remembered: in whole units."""
    try:
        return (None, "") if amount is None else (round(Decimal(amount)), (currency or "")[:3])
    except (InvalidOperation, ValueError, OverflowError):
        return None, ""
