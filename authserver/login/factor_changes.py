"""Adding, replacing and removing second factors: only by who has just proved all that they can.

Nothing counts before it is confirmed, and what it replaces counts until then. The last strong factor is
replaced, never removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from .. import acr, clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.factor import TotpSecret
from ..models.user import User
from ..texts import Text
from ..users import Attempts
from ..users.trusted_payees import forget_all_in
from . import recovery_codes, totp, totp_secrets
from .device_trust import DeviceTrust
from .mfa import AMR_TOTP, APP, Factors, Mfa, Passkeys, Spent, Tell
from .session import Sessions
from .session_view import Proof, SessionView

table = table_of(TotpSecret)
users = table_of(User)

PENDING_SECONDS = 600
# what messages call every second factor together
ALL = Text("All second factors")


@dataclass(frozen=True)
class Begun:
    """A TOTP secret that waits for its first code, in base32 for people and as the address of a QR code."""

    totp_id: str
    secret: str
    uri: str


@dataclass(frozen=True)
class Enrolled:
    """A factor counts now: the session's new cookie, and recovery codes if there were none."""

    cookie: str
    codes: list[str]


class FactorChanges:
    """Changes what a person proves who they are with."""

    def __init__(
        self, database: Database, master: crypto.MasterKeys, mfa: Mfa, sessions: Sessions, rooms: Rooms
    ) -> None:
        self._database = database
        self._master = master
        self._mfa = mfa
        self._sessions = sessions
        self._attempts = Attempts(database)
        self._audit = rooms.audit
        self._tell = rooms.tell
        self._passkeys = rooms.passkeys
        self._issuer = rooms.issuer

    def begin_totp(self, session: SessionView, account: str) -> Begun | None:
        """A new secret of this session for ``account``; it alone can confirm it, within ten minutes.

        None if the session is not fresh.
        """
        if not self.allowed(session, "totp"):
            return None
        totp_id, secret, now = crypto.identifier(), totp.new_secret(), clock.now()
        values = {
            "totp_id": totp_id,
            "user_id": session.user_id,
            "sid": session.sid,
            "secret": self._master.seal(secret.encode(), totp_secrets.place_of(totp_id)),
            "created_at": now,
            "expires_at": now + PENDING_SECONDS,
            "last_step": 0,
        }
        with self._database.writing() as connection:
            pending = (table.c.sid == session.sid) & table.c.confirmed_at.is_(None)
            connection.execute(delete(table).where(pending))
            connection.execute(insert(table).values(values))
        return Begun(totp_id, secret, totp.uri(secret, self._issuer, account))

    def pending_totp(self, session: SessionView, totp_id: str, account: str) -> Begun | None:
        """A secret that this session began and has not confirmed, for a page that is shown again."""
        secret = self._pending(session, totp_id)
        if secret is None:
            return None
        return Begun(totp_id, secret, totp.uri(secret, self._issuer, account))

    def confirm_totp(self, session: SessionView, totp_id: str, code: str) -> Enrolled | None:
        """The secret counts, in the place of the one before, and the session has proved it.

        None if it is not this session's, or on a wrong code.
        """
        if not self.allowed(session, "totp"):
            return None
        secret = self._pending(session, totp_id)
        step = secret and totp.matching_step(secret, code, clock.now())
        if not step:
            self._rejected(session, "code" if secret else "unknown_secret")
            return None
        try:
            with self._database.writing() as connection:
                return self._confirm_in(connection, session, totp_id, step)
        except Spent:
            self._rejected(session, "changed_meanwhile")
            return None

    def remove_totp(self, session: SessionView, totp_id: str) -> str:
        """Why the person's authenticator app must stay, empty when it is gone; the log says so too."""
        with self._database.writing() as connection:
            fault = self.removal_fault_in(connection, session)
            if not fault:
                mine = (table.c.user_id == session.user_id) & (table.c.totp_id == totp_id)
                mine &= table.c.confirmed_at.is_not(None)
                if connection.execute(delete(table).where(mine)).rowcount == 1:
                    self.removed_in(connection, session, "totp", APP)
                else:
                    fault = "unknown_factor"
        if fault:
            self.not_removed(session, "totp", fault)
        return fault

    def renew_codes(self, session: SessionView) -> list[str] | None:
        """Ten new recovery codes, those from before being void; None if the session is not fresh.

        Whoever has no second factor has nothing to recover.
        """
        factors = self._mfa.factors(session.user_id)
        if not self.allowed(session, "recovery_code", factors) or not factors.strong:
            return None
        with self._database.writing() as connection:
            if not self._attempts.hold_in(connection, session.user_id):
                return None
            if not self.still_fresh_in(connection, session):
                return None
            codes = recovery_codes.replace_in(connection, session.user_id)
            self._record_in(connection, session, Event.MFA_ENROLLED, "recovery_code")
            self._tell(connection, session.user_id, "recovery_codes_renewed", {})
        return codes

    def reset(self, user_id: str) -> bool:
        """The person has no factor, known device or trusted payee, and is signed out; False if they had none.

        For operators, who must know by other means that it is the person who asks (NIST SP 800-63B-4 §4.2).
        """
        with self._database.writing() as connection:
            connection.execute(select(users.c.user_id).where(users.c.user_id == user_id).with_for_update())
            if not self._mfa.factors_in(connection, user_id).strong:
                return False
            connection.execute(delete(table).where(table.c.user_id == user_id))
            recovery_codes.remove_in(connection, user_id)
            self._passkeys.forget_in(connection, user_id)
            self._sessions.end_all_in(connection, user_id, "factors_reset")
            # whoever took a factor away from them may have their device too; after sessions, as elsewhere
            DeviceTrust.forget_all_in(connection, user_id)
            forget_all_in(connection, self._audit, user_id, "factors_reset")
            self._audit.record_in(connection, Entry(Event.MFA_REMOVED, reason="by_operator", user_id=user_id))
            self._tell(connection, user_id, "factor_removed", {"factor": ALL})
        return True

    def allowed(self, session: SessionView, kind: str, factors: Factors | None = None) -> bool:
        """Whether the session may add a factor; a refusal is on record."""
        if self._stale(session, factors):
            self._rejected(session, "session_stale", kind)
            return False
        return True

    def still_fresh_in(self, connection: Connection, session: SessionView) -> bool:
        """Whether the session lives and has proved all that its person has, whom this transaction holds.

        An operator may have taken away all that there was to prove, and ended it.
        """
        fresh = self._mfa.fresh(session, self._mfa.factors_in(connection, session.user_id))
        return fresh and self._sessions.hold_in(connection, session)

    def enrolled_in(self, connection: Connection, session: SessionView, kind: str, name: str) -> list[str]:
        """What follows from a new factor of this ``name``: event, mail, recovery codes if there were none."""
        self._record_in(connection, session, Event.MFA_ENROLLED, kind)
        self._tell(connection, session.user_id, "factor_added", {"factor": name})
        if recovery_codes.left(connection, session.user_id):
            return []
        return recovery_codes.replace_in(connection, session.user_id)

    def removal_fault_in(self, connection: Connection, session: SessionView) -> str:
        """Why no strong factor of the person may go, whom this transaction now holds; empty if one may."""
        if not self._attempts.hold_in(connection, session.user_id):
            return "user_disabled"
        factors = self._mfa.factors_in(connection, session.user_id)
        if not self._mfa.fresh(session, factors):
            return "session_stale"
        return "last_factor" if factors.strong < 2 else ""

    def removed_in(self, connection: Connection, session: SessionView, kind: str, name: str) -> None:
        """What follows from the factor of this ``name`` having gone: the event and a mail."""
        self._record_in(connection, session, Event.MFA_REMOVED, kind)
        self._tell(connection, session.user_id, "factor_removed", {"factor": name})

    def not_removed(self, session: SessionView, kind: str, reason: str) -> None:
        """A factor that must stay was to be removed: that is on record."""
        detail = {"factor": kind}
        entry = Entry(Event.MFA_REMOVE_REJECTED, "denied", reason, user_id=session.user_id, detail=detail)
        self._audit.record(entry)

    def _confirm_in(self, connection: Connection, session: SessionView, totp_id: str, step: int) -> Enrolled:
        if not self._attempts.hold_in(connection, session.user_id):
            raise Spent
        if not self.still_fresh_in(connection, session):
            raise Spent
        cookie = self._sessions.rise_in(connection, session, Proof(acr.MFA, AMR_TOTP))
        pending = (table.c.totp_id == totp_id) & table.c.confirmed_at.is_(None)
        values = {"confirmed_at": clock.now(), "expires_at": None, "last_step": step}
        if cookie is None or connection.execute(update(table).where(pending).values(values)).rowcount != 1:
            raise Spent
        others = (table.c.user_id == session.user_id) & (table.c.totp_id != totp_id)
        connection.execute(delete(table).where(others))
        return Enrolled(cookie, self.enrolled_in(connection, session, "totp", APP))

    def _stale(self, session: SessionView, factors: Factors | None = None) -> bool:
        return not self._mfa.fresh(session, factors or self._mfa.factors(session.user_id))

    def _pending(self, session: SessionView, totp_id: str) -> str | None:
        mine = (table.c.totp_id == totp_id) & (table.c.sid == session.sid)
        mine &= table.c.confirmed_at.is_(None) & (table.c.expires_at > clock.now())
        with self._database.reading() as connection:
            sealed = connection.execute(select(table.c.secret).where(mine)).scalar()
        return None if sealed is None else self._master.open(sealed, totp_secrets.place_of(totp_id)).decode()

    def _rejected(self, session: SessionView, reason: str, kind: str = "totp") -> None:
        detail = {"factor": kind}
        entry = Entry(Event.MFA_ENROL_REJECTED, "denied", reason, user_id=session.user_id, detail=detail)
        self._audit.record(entry)

    def _record_in(self, connection: Connection, session: SessionView, event: Event, kind: str) -> None:
        self._audit.record_in(connection, Entry(event, reason=kind, user_id=session.user_id))


@dataclass(frozen=True)
class Rooms:
    """What changes of factors need besides: the log, mails, and the issuer's name in apps."""

    audit: Audit
    tell: Tell
    passkeys: Passkeys
    issuer: str
