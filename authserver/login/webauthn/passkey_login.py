"""Logging in with a passkey: nobody says who they are, the credential does.

Nothing is guessed here, so nothing counts against anybody. Where a stranger's guesses have locked an account,
its passkey still opens it on a device that the person is known to use, and ends the lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ...audit import Audit, Entry, Event
from ...db import Database
from ...users import Attempts
from ..limits import LoginLimits
from ..password_login import Browser
from ..session import Sessions
from ..session_view import Login
from ..staff import UnusedAccounts
from .assertions import Assertion, Assertions
from .challenges import Ceremony, Purpose
from .refusal import Refused

# whether a person is known to use this browser: (user_id, browser)
KnownDevice = Callable[[str, Browser], bool]


class PasskeyLogin:
    """Turns an assertion into a session."""

    def __init__(
        self,
        database: Database,
        assertions: Assertions,
        sessions: Sessions,
        limits: LoginLimits,
        audit: Audit,
        unused: UnusedAccounts,
    ) -> None:
        self._database = database
        self._assertions = assertions
        self._sessions = sessions
        self._limits = limits
        self._audit = audit
        self._unused = unused
        self._attempts = Attempts(database)

    def attempt(self, answer: str, holder: str, browser: Browser, known: KnownDevice) -> str | None:
        """The cookie of a new session, or None: why it failed is in the audit log alone.

        ``holder`` is the value of the cookie that the challenge was made for.
        """
        ceremony = Ceremony(Purpose.LOGIN, holder)
        assertion = self._assertions.verify(answer, ceremony)
        if assertion is None:
            return None
        try:
            if self._unused.refused(assertion.user_id):
                raise Refused("unused", assertion.user_id)
            cookie = self._start(assertion, browser, known(assertion.user_id, browser))
        except Refused as refused:
            self._assertions.rejected(ceremony, refused)
            return None
        self._limits.succeeded(browser.address)
        return cookie

    def _start(self, assertion: Assertion, browser: Browser, known: bool) -> str:
        """The cookie of a session; Refused if what was judged no longer holds, or the account is locked."""
        user_id, amr = assertion.user_id, assertion.amr
        login = Login(user_id, assertion.acr, amr, browser.address, browser.user_agent)
        with self._database.writing() as connection:
            if not self._attempts.proved_in(connection, user_id, though_locked=known):
                raise Refused("blocked", user_id)
            if not self._assertions.holds_in(connection, assertion):
                raise Refused("credential_unknown", user_id)
            cookie = self._sessions.start_in(connection, login, browser.session)
            entry = Entry(Event.LOGIN_SUCCEEDED, user_id=user_id, detail={"amr": list(amr)})
            self._audit.record_in(connection, entry)
        return cookie
