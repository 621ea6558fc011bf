"""Adding, renaming and removing passkeys: only by who has just proved all that they can."""

from __future__ import annotations

from typing import Any

from ...db import Database
from ...users import Attempts, UserRecord
from ..factor_changes import FactorChanges
from ..session_view import SessionView
from .challenges import Ceremony, Purpose
from .credentials import Credentials
from .registrations import Registrations

# how the audit log names this kind of factor
KIND = "webauthn"


class PasskeyChanges:
    """Changes the credentials of people."""

    def __init__(self, database: Database, registrations: Registrations, changes: FactorChanges) -> None:
        self._database = database
        self._registrations = registrations
        self._changes = changes
        self._credentials = Credentials(database)
        self._attempts = Attempts(database)

    def begin(self, session: SessionView, user: UserRecord, *, passkey: bool) -> dict[str, Any] | None:
        """Options for a new credential (``Registrations.options``); None if the session is not fresh."""
        if not self._changes.allowed(session, KIND):
            return None
        return self._registrations.options(_ceremony(session), user, passkey=passkey)

    def finish(self, session: SessionView, answer: str, name: str) -> list[str] | None:
        """The credential counts; gives recovery codes if there were none. None if nothing was added.

        ``name`` is one of ``credentials.name_of``. The session is no higher: registering proves no key.
        """
        if not self._changes.allowed(session, KIND):
            return None
        credential = self._registrations.verify(answer, _ceremony(session), name)
        if credential is None:
            return None
        with self._database.writing() as connection:
            held = self._attempts.hold_in(connection, session.user_id)
            if held and self._credentials.add_in(connection, credential):
                return self._changes.enrolled_in(connection, session, KIND, name)
        self._registrations.rejected(_ceremony(session), "credential_exists" if held else "user_disabled")
        return None

    def rename(self, session: SessionView, credential_id: bytes, name: str) -> bool:
        """The person's credential is called ``name``; False if they have no such one."""
        return self._credentials.rename(session.user_id, credential_id, name)

    def remove(self, session: SessionView, credential_id: bytes) -> str:
        """Empty once the person's credential has gone, else why it must stay."""
        with self._database.writing() as connection:
            fault = self._changes.removal_fault_in(connection, session)
            if not fault:
                name = self._credentials.remove_in(connection, session.user_id, credential_id)
                if name is not None:
                    self._changes.removed_in(connection, session, KIND, name)
                    return ""
                fault = "unknown_factor"
        self._changes.not_removed(session, KIND, fault)
        return fault


def _ceremony(session: SessionView) -> Ceremony:
    return Ceremony(Purpose.REGISTER, session.sid, session.user_id)
