"""Authorizations: what came of a completed request, its code, refresh family and tokens; each ends whole.

``gid`` names one. A row is made with its code and ends once, by one UPDATE; what it gave ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from .. import acr, clock, crypto
from ..audit import Audit, Entry, Event
from ..clients import ClientRecord, Clients
from ..config import Settings
from ..db import table_of
from ..models.authorization import Authorization, AuthorizationCode
from ..models.session import Session
from ..models.user import User
from . import claims, rar
from .revocation import Revocations

if TYPE_CHECKING:
    from .authorization_request import AuthorizationRequest

# FAPI 2.0 Security Profile §5.3.2.1: at most 60 seconds
CODE_SECONDS = 60
OFFLINE = "offline_access"
table = table_of(Authorization)
codes = table_of(AuthorizationCode)
users = table_of(User)
sessions = table_of(Session)
WITH_ITS_PERSON = table.join(users, users.c.user_id == table.c.user_id).outerjoin(
    sessions, sessions.c.sid == table.c.sid
)
# What ends a person or a session ends their authorizations, in its own transaction. One that was being
# made meanwhile was not seen there: here it is.
ALIVE = (
    table.c.ended_at.is_(None)
    & (users.c.state == "active")
    & (table.c.offline | (sessions.c.sid.is_not(None) & sessions.c.ended_at.is_(None)))
)


class LoggedIn(Protocol):
    """The session in which a person decided."""

    @property
    def sid(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def acr(self) -> str: ...
    @property
    def amr(self) -> tuple[str, ...]: ...
    @property
    def auth_time(self) -> int: ...
    @property
    def created_at(self) -> int: ...


@dataclass(frozen=True, slots=True)
class AuthorizationRecord:
    """An authorization as it was read; ``audience`` holds APIs alone, ``expires_at`` ends all issuing."""

    gid: str
    user_id: str
    client_id: str
    sid: str
    scopes: tuple[str, ...]
    audience: tuple[str, ...]
    authorization_details: list[dict[str, Any]] | None
    claims: dict[str, list[str]] | None
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    expires_at: int

    @property
    def once(self) -> bool:
        """Whether it is for one payment: its code gives one access token, and nothing renews that."""
        return rar.payment_of(self.authorization_details) is not None

    def single_claims(self, member: str, client: ClientRecord) -> list[str]:
        """The single claims for ``userinfo`` or ``id_token`` whose scopes the client still has."""
        return claims.within((self.claims or {}).get(member, ()), client.scopes)

    def userinfo_claims(self, client: ClientRecord, scopes: Sequence[str]) -> list[str]:
        """What UserInfo tells for a token of ``scopes`` besides the claims of these."""
        names = self.single_claims("userinfo", client) if "openid" in scopes else []
        return [name for name in names if claims.SCOPES[name] not in scopes]

    @classmethod
    def of(cls, row: RowMapping, prefix: str = "") -> Self:
        """The record in a row whose columns bear ``prefix``."""
        values = {name: row[prefix + name] for name in cls.__slots__}
        lists = {name: tuple(values[name]) for name in ("scopes", "audience", "amr")}
        return cls(**(values | lists))


class Completed(NamedTuple):
    """A new code, and the authorization that it stands for."""

    code: str
    gid: str


class Authorizations:
    """Makes authorizations, and ends them for every reason that there is."""

    def __init__(self, settings: Settings, clients: Clients, revocations: Revocations, audit: Audit) -> None:
        self._issuer = settings.issuer
        self._token_seconds = settings.access_token_lifetime
        self._session_seconds = settings.session_lifetime
        self._offline_seconds = settings.refresh_token_lifetime
        self._clients = clients
        self._revocations = revocations
        self._audit = audit

    def complete_in(
        self,
        connection: Connection,
        request: AuthorizationRequest,
        session: LoggedIn,
        grant_id: str | None,
        details: Sequence[dict[str, Any]] | None,
    ) -> Completed:
        """The code for what the person allowed; it counts once the transaction of ``connection`` commits.

        ``details`` are authorization details as approved; they go into tokens as they are.
        """
        gid, code = crypto.random_token(128), crypto.random_token()
        now = clock.now()
        offline, ends = self._lasting(request, session, details, now)
        connection.execute(
            insert(table).values(
                gid=gid, grant_id=grant_id, user_id=session.user_id, client_id=request.client_id,
                sid=session.sid, offline=offline, scopes=list(request.scopes),
                audience=[api for api in request.audience if api != self._issuer],
                authorization_details=list(details) if details else None,
                pays=rar.payment_of(details) is not None,
                claims=_single_claims(request),
                # OpenID Connect Core §5.5.1.1: what was demanded is told, also where more was reached
                acr=acr.met(session.acr, request.acr_essential) or session.acr,
                amr=list(session.amr), auth_time=session.auth_time,
                created_at=now, expires_at=max(ends, now + CODE_SECONDS),
            )
        )  # fmt: skip
        connection.execute(
            insert(codes).values(
                digest=crypto.digest(code), gid=gid, client_id=request.client_id,
                # RFC 6749 §4.1.3: asked for again only if it was in the authorization request
                redirect_uri=request.redirect_uri if request.redirect_uri_given else "",
                code_challenge=request.code_challenge, nonce=request.nonce,
                created_at=now, expires_at=now + CODE_SECONDS,
            )
        )  # fmt: skip
        detail = {"gid": gid, "scope": " ".join(request.scopes)}
        entry = Entry(
            Event.CODE_ISSUED,
            client_id=request.client_id,
            user_id=session.user_id,
            session_id=session.sid,
            detail=detail,
        )
        self._audit.record_in(connection, entry)
        return Completed(code, gid)

    def _lasting(
        self,
        request: AuthorizationRequest,
        session: LoggedIn,
        details: Sequence[dict[str, Any]] | None,
        now: int,
    ) -> tuple[bool, int]:
        """Whether it outlives its session, and until when something may be issued from it."""
        if rar.payment_of(details):
            return False, now + CODE_SECONDS
        client = self._clients.get(request.client_id)
        if OFFLINE in request.scopes and client is not None and client.check_grant_type("refresh_token"):
            return True, now + self._offline_seconds
        return False, session.created_at + self._session_seconds

    def holds_in(self, connection: Connection, gid: str) -> bool:
        """Whether something may be issued from it; it does not end before the transaction does."""
        holds = ALIVE & (table.c.expires_at > clock.now())
        query = select(holds).select_from(WITH_ITS_PERSON).where(table.c.gid == gid)
        return bool(connection.execute(query.with_for_update(of=table)).scalar_one())

    def end_in(self, connection: Connection, gid: str, reason: str) -> bool:
        """It has ended, with its refresh family and tokens; whether it was this call that ended it."""
        return self._end(connection, table.c.gid == gid, reason) > 0

    def end_payment_in(self, connection: Connection, user_id: str, gid: str) -> bool:
        """The person's own payment ``gid`` has ended, if it is one that could still be used."""
        mine = (table.c.gid == gid) & (table.c.user_id == user_id) & table.c.pays
        return self._end(connection, mine, "payment_withdrawn") > 0

    def end_for_user_in(self, connection: Connection, user_id: str, reason: str = "user_disabled") -> int:
        """Every authorization of the person has ended; gives how many did now."""
        return self._end(connection, table.c.user_id == user_id, reason)

    def end_for_grant_in(
        self, connection: Connection, grant_id: str, reason: str = "consent_withdrawn"
    ) -> None:
        """Every authorization under this consent has ended."""
        self._end(connection, table.c.grant_id == grant_id, reason)

    def end_for_client_in(
        self, connection: Connection, client_id: str, reason: str = "client_deleted"
    ) -> int:
        """Every authorization of the client has ended; gives how many did now."""
        return self._end(connection, table.c.client_id == client_id, reason)

    def end_for_sessions_in(self, connection: Connection, reasons: Mapping[str, str]) -> None:
        """Every authorization of these sessions has ended for its session's reason, but for offline ones.

        All at once: to end those of one session after another would take locks in an order of their own.
        """
        self._end(connection, table.c.sid.in_(reasons) & ~table.c.offline, reasons)

    def _end(self, connection: Connection, which: ColumnElement[bool], why: str | Mapping[str, str]) -> int:
        """``why`` is the reason, or that of each sid. Once a transaction: the version comes last."""
        now = clock.now()
        alive = which & table.c.ended_at.is_(None) & (table.c.expires_at > now - self._token_seconds)
        # locked in one order, so that two who end several never wait for each other
        locked = select(table.c.gid).where(alive).order_by(table.c.gid).with_for_update()
        gids = list(connection.execute(locked).scalars())
        if not gids:
            return 0
        ended = (
            update(table)
            .where(table.c.gid.in_(gids))
            .values(ended_at=now)
            .returning(table.c.gid, table.c.client_id, table.c.user_id, table.c.sid)
        )
        rows = connection.execute(ended).all()
        self._revocations.end_all_in(connection, "gid", gids, now + self._token_seconds)
        for row in rows:
            entry = Entry(
                Event.TOKEN_FAMILY_REVOKED,
                reason=why if isinstance(why, str) else why[row.sid],
                client_id=row.client_id,
                user_id=row.user_id,
                session_id=row.sid,
                detail={"gid": row.gid},
            )
            self._audit.record_in(connection, entry)
        return len(rows)


def _single_claims(request: AuthorizationRequest) -> dict[str, list[str]] | None:
    """What was asked for by the ``claims`` parameter, to be told for as long as the authorization lasts."""
    asked = {"userinfo": list(request.userinfo_claims), "id_token": list(request.id_token_claims)}
    return {member: names for member, names in asked.items() if names} or None
