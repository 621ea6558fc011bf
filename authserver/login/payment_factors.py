"""Factors that approve payments: judged for one payment, and spent by the transaction that approves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, select

from .. import acr, crypto
from ..audit import Audit, Entry, Event
from ..db import table_of
from ..models.session import Session
from ..users import Attempts
from .mfa import Judged, Mfa
from .session import Sessions
from .session_view import Proof, SessionView, view_of
from .webauthn import Assertion, Assertions, Ceremony, Purpose

table = table_of(Session)

Setting = Literal["webauthn", "totp"]


class Ended(Exception):
    """The session was renewed or has ended since it was read: nothing was written."""


@dataclass
class Proved:
    """A factor that was proved for one payment, not yet spent; ``members`` of it go into the evidence.

    ``cookie`` is the session's new one once it was spent.
    """

    session: SessionView
    kind: Setting
    proof: Proof
    members: dict[str, str]
    spend_in: Callable[[Connection], None]
    cookie: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What approving takes."""

    mfa: Mfa
    sessions: Sessions
    assertions: Assertions
    attempts: Attempts
    audit: Audit


class PaymentFactors:
    """Judges what payers prove. ``minimum`` is the acr that an approval reaches at least."""

    def __init__(self, rooms: Rooms, setting: Setting) -> None:
        self._mfa = rooms.mfa
        self._sessions = rooms.sessions
        self._assertions = rooms.assertions
        self._attempts = rooms.attempts
        self._audit = rooms.audit
        self.codes = setting == "totp"
        self.minimum = acr.MFA if self.codes else acr.PHISHING_RESISTANT

    def options(self, session: SessionView, challenge: bytes) -> dict[str, Any]:
        """What a browser asks the person's passkeys with, to sign ``challenge`` within five minutes."""
        return self._assertions.options(_ceremony(session), challenge)

    def by_passkey(self, session: SessionView, answer: str, challenge: bytes) -> Proved | None:
        """A passkey's signature over ``challenge``, as the browser tells it; None if it is none.

        The challenge was issued to this session, and is spent by it whatever comes of it.
        """
        assertion = self._assertions.verify(answer, _ceremony(session), challenge)
        if assertion is None:
            return None
        proof = Proof(assertion.acr, assertion.amr, whole=True, confirms=True)
        hold_in = partial(self._hold_in, session=session, assertion=assertion)
        return Proved(session, "webauthn", proof, _members(assertion), hold_in)

    def by_code(self, session: SessionView, code: str) -> Proved | None:
        """A code of the person's authenticator app; None if it is wrong, or codes do not do.

        It says nothing about amount and payee: only that whoever approves has the app at hand.
        """
        judged = self._mfa.judge(session.user_id, "totp", code) if self.codes else None
        if judged is None:
            return None
        members = {"totpId": judged.totp_id, "timeStep": str(judged.step)}
        return Proved(session, "totp", judged.proof, members, partial(self._mfa.spend_in, judged=judged))

    def replayed(self, proved: Proved) -> None:
        """What was proved had been used before: that is on record."""
        self._mfa.replayed(Judged(proved.session.user_id, proved.kind))

    def _hold_in(self, connection: Connection, session: SessionView, assertion: Assertion) -> None:
        """Nothing counts against the person any more, and the passkey is as it was judged; Ended otherwise.

        A lock by guesses of others does not keep out who is in already, and has what nobody guesses.
        """
        if not self._attempts.proved_in(connection, session.user_id, though_locked=session.complete):
            raise Ended
        if not self._assertions.holds_in(connection, assertion):
            raise Ended

    def spend_in(self, connection: Connection, proved: Proved) -> SessionView:
        """The session with what was proved, under a new cookie, in the transaction that approves.

        mfa.Spent if it was used before, Ended if the session is no longer what it was.
        """
        proved.spend_in(connection)
        cookie = self._sessions.rise_in(connection, proved.session, proved.proof)
        if cookie is None:
            raise Ended
        proved.cookie = cookie
        entry = Entry(
            Event.MFA_SUCCEEDED,
            reason=proved.kind,
            user_id=proved.session.user_id,
            session_id=proved.session.sid,
            detail={"amr": list(proved.proof.amr), "purpose": "payment"},
        )
        self._audit.record_in(connection, entry)
        query = select(table).where(table.c.digest == crypto.digest(cookie))
        return view_of(connection.execute(query).mappings().one())


def _ceremony(session: SessionView) -> Ceremony:
    return Ceremony(Purpose.PAYMENT, session.sid, session.user_id)


def _members(assertion: Assertion) -> dict[str, str]:
    """What it takes to judge the signature again, without the passkey's row (WebAuthn L3 §7.2)."""
    values = {
        "clientDataJSON": assertion.client_data_json,
        "authenticatorData": assertion.authenticator_data,
        "signature": assertion.signature,
        "publicKey": assertion.public_key,
        "credentialId": assertion.credential_id,
    }
    told = {name: crypto.b64u(value) for name, value in values.items()}
    return told | {"rpId": assertion.rp_id, "origin": assertion.origin}
