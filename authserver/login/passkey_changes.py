"""Adding, naming and removing passkeys and security keys, by the rules of all second factors."""

from __future__ import annotations

from typing import Any

from ..db import Database
from ..users import Attempts, Users
from .factor_changes import Enrolled, FactorChanges
from .mfa import Spent
from .session import Sessions
from .session_view import Proof, SessionView
from .webauthn import Ceremony, Credential, Passkeys, Purpose

KIND = "passkey"


class PasskeyChanges:
    """Changes the passkeys of a session's person."""

    def __init__(
        self,
        database: Database,
        users: Users,
        sessions: Sessions,
        changes: FactorChanges,
        passkeys: Passkeys,
    ) -> None:
        self._database = database
        self._users = users
        self._sessions = sessions
        self._changes = changes
        self._passkeys = passkeys
        self._attempts = Attempts(database)

    def options(self, session: SessionView) -> dict[str, Any] | None:
        """What ``navigator.credentials.create()`` is called with; None if the session is not fresh."""
        if not self._changes.allowed(session, KIND):
            return None
        user = self._users.must(session.user_id)
        return self._passkeys.registrations.options(_ceremony(session), user, passkey=True)

    def add(self, session: SessionView, answer: str, name: str) -> Enrolled | None:
        """The passkey that the browser made counts; None if it must not, and the log says why.

        It proves nothing yet: who demands one has it used at once.
        """
        if not self._changes.allowed(session, KIND):
            return None
        ceremony = _ceremony(session)
        credential = self._passkeys.registrations.verify(answer, ceremony, name)
        if credential is None:
            return None
        try:
            with self._database.writing() as connection:
                if not self._attempts.hold_in(connection, session.user_id):
                    raise Spent
                if not self._changes.still_fresh_in(connection, session):
                    raise Spent
                cookie = self._sessions.rise_in(connection, session, Proof("", ()))
                if cookie is None or not self._passkeys.credentials.add_in(connection, credential):
                    raise Spent
                codes = self._changes.enrolled_in(connection, session, KIND, name)
        except Spent:
            self._passkeys.registrations.rejected(ceremony, "changed_meanwhile")
            return None
        return Enrolled(cookie, codes)

    def of(self, user_id: str) -> list[Credential]:
        """The person's, the oldest first."""
        return self._passkeys.credentials.of(user_id)

    def rename(self, session: SessionView, credential_id: bytes, name: str) -> bool:
        """The person's passkey is called ``name``; False if they have no such one."""
        return self._passkeys.credentials.rename(session.user_id, credential_id, name)

    def remove(self, session: SessionView, credential_id: bytes) -> str:
        """Why the passkey must stay, empty when it is gone; the log says so too."""
        with self._database.writing() as connection:
            fault = self._changes.removal_fault_in(connection, session)
            if not fault:
                name = self._named(session.user_id, credential_id)
                if self._passkeys.credentials.remove_in(connection, session.user_id, credential_id):
                    self._changes.removed_in(connection, session, KIND, name)
                else:
                    fault = "unknown_factor"
        if fault:
            self._changes.not_removed(session, KIND, fault)
        return fault

    def _named(self, user_id: str, credential_id: bytes) -> str:
        return next((one.name for one in self.of(user_id) if one.credential_id == credential_id), "")


def _ceremony(session: SessionView) -> Ceremony:
    return Ceremony(Purpose.REGISTER, session.sid, session.user_id)
