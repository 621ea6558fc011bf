"""Changing a password while signed in: the current one is an attempt like a login's, and counts as one.

Whoever found an open session must not get further by it: not to the password, nor to guesses beyond five.
"""

from __future__ import annotations

from ..acr import MFA, reaches
from ..audit import Entry, Event
from ..cache import raise_version
from ..db import Database
from ..users import Attempts, Links, UserRecord, Users
from .limits import LoginLimits
from .mfa import Spent, Tell
from .password import PasswordHasher, usable
from .password_login import AMR_PASSWORD, Browser
from .password_policy import Refused
from .password_rules import PasswordRules
from .session import Sessions
from .session_view import Login, Proof, SessionView


class PasswordChange:
    """Judges the current password and sets another."""

    def __init__(  # noqa: PLR0913, PLR0917 - the rooms that meet here
        self,
        database: Database,
        users: Users,
        links: Links,
        hasher: PasswordHasher,
        sessions: Sessions,
        limits: LoginLimits,
        tell: Tell,
        rules: PasswordRules,
    ) -> None:
        self._database = database
        self._users = users
        self._links = links
        self._attempts = Attempts(database)
        self._hasher = hasher
        self._sessions = sessions
        self._limits = limits
        self._tell = tell
        self._rules = rules

    def change(self, session: SessionView, current: str, new: str, browser: Browser) -> str | None:
        """The cookie of a new session, ``new`` (judged by ``PasswordRules``) being the password; None if not.

        Why it failed is in the audit log alone; Refused if ``new`` was theirs before, which only who knows
        the current one is told. Whatever was signed in or allowed before has ended.
        """
        user_id = session.user_id
        if not self._rules.may_change(session):
            self._failed(user_id, "session_stale", 0)
            return None
        if not usable(current):
            self._failed(user_id, "bad_password", 0)
            return None
        with self._hasher.place():
            # read now: a login may have hashed the password anew, which no cache is told of
            user = self._users.must(user_id)
            number = self._attempts.reserve(user_id)
            if not self._hasher.verify(user.password_hash, current) or number == 0:
                self._failed(user_id, "bad_password" if number else "blocked", number)
                return None
            try:
                self._rules.never_again(user, new)
            except Refused:
                with self._database.writing() as connection:
                    self._attempts.given_back_in(connection, user_id, number)
                raise
            new_hash = self._hasher.hash(new)
        try:
            cookie = self._set(user, number, new_hash, session, browser)
        except Spent:
            self._failed(user_id, "changed_meanwhile", 0)
            return None
        self._limits.succeeded(browser.address)
        return cookie

    def _set(
        self, user: UserRecord, number: int, new_hash: str, session: SessionView, browser: Browser
    ) -> str:
        """The cookie of the new session; Spent, and nothing is written, if what was read is another now."""
        # what else this browser has proved it need not prove again
        amr = tuple(dict.fromkeys((*AMR_PASSWORD, *session.amr)))
        login = Login(
            user.user_id,
            session.acr,
            amr,
            browser.address,
            browser.user_agent,
            session.demand,
            auth_time=0 if self._alone(session) else session.auth_time,
        )
        with self._database.writing() as connection:
            # first, as where a link is used: two who wait for both must not hold one each
            self._links.end_in(connection, user.user_id)
            # before the person, as whatever else changes one
            raise_version(connection, "users")
            # a session that has ended meanwhile does not rise again
            held = self._attempts.hold_in(connection, user.user_id)
            if not held or self._sessions.rise_in(connection, session, Proof("", ())) is None:
                raise Spent
            alone = self._alone(session)
            if not self._users.change_password_in(connection, user, new_hash, unlocks=alone):
                raise Spent
            if not alone:
                # whoever knows the password has no more guesses at the factor that follows for changing it
                self._attempts.given_back_in(connection, user.user_id, number)
            self._tell(connection, user.user_id, "password_changed", {})
            return self._sessions.start_in(connection, login)

    @staticmethod
    def _alone(session: SessionView) -> bool:
        """Whether the password is all that this session has proved: then it was proved just now."""
        return not reaches(session.acr, MFA)

    def _failed(self, user_id: str, reason: str, number: int) -> None:
        self._limits.failed(Entry(Event.PASSWORD_REJECTED, "denied", reason, user_id=user_id), number)
