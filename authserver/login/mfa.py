"""Second factors: what a person has, what they must still prove, and the proofs that raise a session.

Every guess is an attempt at the person, counted before it is judged, over all factors together
(PSD2 RTS art. 4(3)(b)). Judging writes nothing else; a proof is spent in the transaction that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from .. import acr, clock, crypto
from ..audit import Audit, Entry, Event
from ..db import Database, table_of
from ..models.factor import RecoveryCode
from ..models.webauthn import WebauthnCredential
from ..texts import Text
from ..users import Attempts, UserRecord, Users
from . import recovery_codes, totp, totp_secrets
from .limits import LoginLimits
from .policy import Asked, Policy
from .session import Sessions
from .session_view import Proof, SessionView

if TYPE_CHECKING:
    from .webauthn import Assertion, Credential

codes = table_of(RecoveryCode)
credentials = table_of(WebauthnCredential)


def _factors() -> Select[Any]:
    """What ``person`` has; made once, since nearly every request of somebody signed in asks for it."""
    person: ColumnElement[str] = bindparam("person")
    app = totp_secrets.confirmed(person)
    unused = (codes.c.user_id == person) & codes.c.used_at.is_(None)
    return select(
        select(totp_secrets.table.c.totp_id).where(app).scalar_subquery(),
        select(totp_secrets.table.c.misses).where(app).scalar_subquery(),
        # those that may be cloned among them: they are no reason to ask for less
        select(func.count()).where(credentials.c.user_id == person).scalar_subquery(),
        select(func.count()).where(unused).scalar_subquery(),
    )


_FACTORS = _factors()

# a change of how somebody proves who they are needs a proof as young as this, in seconds (ASVS 5.0 §7.5.1)
FRESH_SECONDS = 300
AMR_TOTP = ("otp", "mfa")  # RFC 8176 §2
# a code from a sheet of paper has no name of its own there
AMR_RECOVERY_CODE = ("mfa",)

# a message to a person, sent with the transaction: (connection, user_id, its template, values)
Tell = Callable[[Connection, str, str, Mapping[str, Any]], object]
# what messages call an authenticator app
APP = Text("Authenticator app")


class Passkeys(Protocol):
    """What is asked of passkeys here."""

    def held_in(self, connection: Connection, used: Credential) -> bool:
        """This transaction holds the passkey, which is as it was judged; False if it is not."""

    def forget_in(self, connection: Connection, user_id: str) -> None:
        """The person has none."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What a person can prove besides their password; ``recovery_codes`` counts unused ones."""

    totp: str | None = None
    passkeys: int = 0
    recovery_codes: int = 0
    # whether the app takes no code any more, after too many wrong ones
    totp_rests: bool = False

    @property
    def strong(self) -> int:
        """How many factors that a login may rest on for good."""
        return self.passkeys + (self.totp is not None)

    @property
    def highest(self) -> str:
        """The acr that the person can reach."""
        if self.passkeys:
            return acr.PHISHING_RESISTANT
        return acr.MFA if self.totp else acr.PASSWORD


@dataclass(frozen=True, slots=True)
class Judged:
    """A right code, not yet spent: a step of a TOTP secret, or the digest of a recovery code."""

    user_id: str
    kind: str
    totp_id: str = ""
    step: int = 0
    digest: bytes = b""

    @property
    def proof(self) -> Proof:
        """What it adds to a session."""
        return Proof(acr.MFA, AMR_TOTP if self.kind == "totp" else AMR_RECOVERY_CODE)


class Mfa:
    """Knows and judges second factors."""

    def __init__(
        self, database: Database, master: crypto.MasterKeys, users: Users, sessions: Sessions, rooms: Rooms
    ) -> None:
        self._database = database
        self._master = master
        self._users = users
        self._sessions = sessions
        self._attempts = Attempts(database)
        self._policy = rooms.policy
        self._limits = rooms.limits
        self._audit = rooms.audit
        self._passkeys = rooms.passkeys
        self._tell = rooms.tell

    def factors(self, user_id: str) -> Factors:
        """What the person has, read now."""
        with self._database.reading() as connection:
            return self.factors_in(connection, user_id)

    @staticmethod
    def factors_in(connection: Connection, user_id: str) -> Factors:
        """``factors`` as the transaction of ``connection`` sees them: by one statement, whoever it is."""
        totp_id, misses, passkeys, left = connection.execute(_FACTORS, {"person": user_id}).one()
        rests = (misses or 0) >= totp_secrets.MOST_MISSES
        return Factors(totp_id, passkeys, left if totp_id or passkeys else 0, rests)

    def has_secret(self, user_id: str, secret: str) -> bool:
        """Whether this is the secret of the person's authenticator app; for who keeps it, not for pages."""
        return bool(secret) and self._totp(user_id)[1] == secret

    def login_demand(self, user: UserRecord) -> str:
        """The acr that every login of the person must reach; empty for any.

        Whoever has a second factor is asked for it; a policy may ask for more.
        """
        own = acr.MFA if self.factors(user.user_id).strong else ""
        return acr.highest(own, self._policy.demand(user.groups))

    def request_demand(self, user_id: str, asked: Asked) -> str:
        """The acr that the policy wants of the person for a request; empty for any."""
        user = self._users.get(user_id)
        return "" if user is None else self._policy.demand(user.groups, asked)

    def fresh(self, session: SessionView, factors: Factors) -> bool:
        """Whether the session has just proved all that the person can prove."""
        young = clock.now() - session.auth_time <= FRESH_SECONDS
        return young and not session.confirm and acr.reaches(session.acr, factors.highest)

    def prove(self, session: SessionView, kind: str, code: str, address: str) -> str | None:
        """The cookie of the session as raised by a code of ``kind``, totp or recovery_code; None if not.

        Why it failed is in the audit log alone.
        """
        judged = self.judge(session.user_id, kind, code)
        if judged is None:
            return None
        try:
            with self._database.writing() as connection:
                self.spend_in(connection, judged)
                cookie = self._sessions.rise_in(connection, session, judged.proof)
                if cookie is None:
                    raise Spent
                self._record_in(connection, session, kind, judged.proof)
        except Spent:
            self.replayed(judged)
            return None
        self._limits.succeeded(address)
        return cookie

    def prove_by_passkey(self, session: SessionView, assertion: Assertion, address: str) -> str | None:
        """The cookie of the session as raised by a passkey of its person; None if it no longer holds.

        Nobody guesses it: a lock by wrong codes does not keep it out of a session that has the password.
        """
        proof = Proof(assertion.acr, assertion.amr, whole=True, confirms=True)
        try:
            with self._database.writing() as connection:
                if not self._attempts.proved_in(connection, session.user_id, though_locked=True):
                    raise Spent
                if not self._passkeys.held_in(connection, assertion.credential):
                    raise Spent
                cookie = self._sessions.rise_in(connection, session, proof)
                if cookie is None:
                    raise Spent
                self._record_in(connection, session, "webauthn", proof)
        except Spent:
            return None
        self._limits.succeeded(address)
        return cookie

    def judge(self, user_id: str, kind: str, code: str) -> Judged | None:
        """The right code as it may be spent; None for a wrong one, which counts against the person."""
        number = self._attempts.reserve(user_id)
        judged = self._right_totp(user_id, code) if kind == "totp" else self._known_code(user_id, code)
        if number and judged is not None:
            return judged
        if number and kind == "totp":
            self._missed(user_id)
        failed = Entry(Event.MFA_FAILED, "denied", kind, user_id=user_id)
        self._limits.failed(failed if number else _blocked(failed), number)
        return None

    def spend_in(self, connection: Connection, judged: Judged) -> None:
        """The code is spent by this transaction and nothing counts against the person; Spent if it was."""
        if not self._attempts.cleared_in(connection, judged.user_id):
            raise Spent
        if judged.kind == "totp":
            if not totp_secrets.spend_in(connection, judged.totp_id, judged.step):
                raise Spent
        elif recovery_codes.spend_in(connection, judged.digest):
            totp_secrets.forgive_in(connection, judged.user_id)
            left = recovery_codes.left(connection, judged.user_id)
            self._tell(connection, judged.user_id, "recovery_code_used", {"left": left})
        else:
            raise Spent

    def replayed(self, judged: Judged) -> None:
        """A right code that was spent before is on record."""
        self._audit.record(Entry(Event.MFA_REPLAY, "denied", judged.kind, user_id=judged.user_id))

    def _record_in(self, connection: Connection, session: SessionView, kind: str, proof: Proof) -> None:
        detail = {"amr": list(proof.amr)}
        entry = Entry(
            Event.MFA_SUCCEEDED,
            reason=kind,
            user_id=session.user_id,
            session_id=session.sid,
            detail=detail,
        )
        self._audit.record_in(connection, entry)

    def _right_totp(self, user_id: str, code: str) -> Judged | None:
        totp_id, secret = self._totp(user_id)
        step = totp.matching_step(secret, code, clock.now()) if secret else None
        return None if step is None else Judged(user_id, "totp", totp_id, step)

    def _totp(self, user_id: str) -> tuple[str, str]:
        """The id and the secret of the person's authenticator app; empty if they have none that counts."""
        with self._database.reading() as connection:
            row = totp_secrets.read_in(connection, user_id)
        if row is None:
            return "", ""
        return row.totp_id, self._master.open(row.secret, totp_secrets.place_of(row.totp_id)).decode()

    def _missed(self, user_id: str) -> None:
        with self._database.writing() as connection:
            if totp_secrets.missed_in(connection, user_id):
                self._audit.record_in(
                    connection, Entry(Event.MFA_SUSPENDED, "denied", "totp", user_id=user_id)
                )
                self._tell(connection, user_id, "app_suspended", {})

    def _known_code(self, user_id: str, code: str) -> Judged | None:
        with self._database.reading() as connection:
            digest = recovery_codes.known(connection, user_id, code)
        return None if digest is None else Judged(user_id, "recovery_code", digest=digest)


@dataclass(frozen=True)
class Rooms:
    """What second factors need besides people and their sessions."""

    policy: Policy
    limits: LoginLimits
    audit: Audit
    passkeys: Passkeys
    tell: Tell


class Spent(Exception):
    """The code was used before, or whose it is may not use it any more: nothing was written."""


def _blocked(failed: Entry) -> Entry:
    return Entry(
        failed.event, failed.outcome, failed.reason, user_id=failed.user_id, detail={"blocked": True}
    )
