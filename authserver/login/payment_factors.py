"""Factors that approve payments: judged for one payment, and spent by the transaction that approves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from sqlalchemy import Connection, select

from .. import acr, crypto
from ..audit import Audit, Entry, Event
from ..db import table_of
from ..models.session import Session
from .mfa import Judged, Mfa
from .session import Sessions
from .session_view import Proof, SessionView, view_of

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


class PaymentFactors:
    """Judges what payers prove. ``minimum`` is the acr that an approval reaches at least."""

    def __init__(self, mfa: Mfa, sessions: Sessions, audit: Audit, setting: Setting) -> None:
        self._mfa = mfa
        self._sessions = sessions
        self._audit = audit
        self.codes = setting == "totp"
        self.minimum = acr.MFA if self.codes else acr.PHISHING_RESISTANT

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
