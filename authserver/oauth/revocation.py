"""Token revocation (RFC 7009) by ``jti``, and the signed list that APIs poll."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc7009 import RevocationEndpoint as AuthlibEndpoint
from sqlalchemy import Connection, select

from .. import clock, jws
from ..audit import Audit, Entry, Event
from ..cache import Versions, raise_version
from ..clients import ClientRecord
from ..config import Settings
from ..db import Database, insert_once, table_of
from ..errors import ProtocolError
from ..keys import KeyStore
from ..models.token import Revocation
from .introspection import missing_token
from .request import ProtocolRequest

if TYPE_CHECKING:
    from .server import AuthorizationServer
    from .single_use import Presented

LIST_TYP = "revocations+jwt"
SLACK = 60
table = table_of(Revocation)


@dataclass(frozen=True, slots=True)
class SignedList:
    """The list as a compact JWS, its entity tag, and what it was made from: version and period."""

    jws: str
    etag: str
    made_from: tuple[int, int]


class Revocations:
    """Ends tokens, and tells the world."""

    def __init__(
        self, settings: Settings, database: Database, versions: Versions, keys: KeyStore, audit: Audit
    ) -> None:
        self._issuer = settings.issuer
        self._alg = settings.access_token_alg
        self._lifetime = settings.revocations_lifetime
        self._database = database
        self._versions = versions
        self._keys = keys
        self._audit = audit
        self._lock = threading.Lock()
        self._list: SignedList | None = None

    def end(self, kind: str, value: str, expires_at: int, entry: Entry) -> bool:
        """The ``jti`` or ``gid`` no longer counts; whether this call ended it. Audited in one transaction."""
        with self._database.writing() as connection:
            first = self.end_in(connection, kind, value, expires_at)
            self._audit.record_in(connection, entry)
        self._versions.forget()
        return first

    def end_in(self, connection: Connection, kind: str, value: str, expires_at: int) -> bool:
        """``end`` within the transaction of ``connection``, without its audit row."""
        # a little longer than the tokens: an API that has just started looks within its leeway
        until = expires_at + SLACK
        row = {"kind": kind, "value": value, "expires_at": until, "revoked_at": clock.now()}
        first = insert_once(connection, Revocation, row)
        if first:
            raise_version(connection, "revocations")
        return first

    def end_all_in(self, connection: Connection, kind: str, values: Sequence[str], expires_at: int) -> None:
        """``end_in`` for each of ``values``; they appear in the list together."""
        until, now = expires_at + SLACK, clock.now()
        for value in values:
            row = {"kind": kind, "value": value, "expires_at": until, "revoked_at": now}
            insert_once(connection, Revocation, row)
        raise_version(connection, "revocations")

    def signed_list(self) -> SignedList:
        """Every revocation that still matters, signed; the same bytes until something changes or it ages.

        Claims: iss, iat, exp (``revocations_lifetime`` later), jtis and gids, each an object of value to
        the time when it may be forgotten.
        """
        # all workers make the same list in the same while, so one's answer confirms another's
        current = (self._versions.current()["revocations"], clock.now() // (self._lifetime // 5))
        held = self._list
        if held is None or held.made_from != current:
            with self._lock:
                held = self._list
                if held is None or held.made_from != current:
                    held = self._list = self._make(current)
        return held

    def _make(self, current: tuple[int, int]) -> SignedList:
        version, period = current
        now = period * (self._lifetime // 5)
        with self._database.reading() as connection:
            found = connection.execute(
                select(table.c.kind, table.c.value, table.c.expires_at).where(table.c.expires_at > now)
            ).all()
        claims: dict[str, Any] = {"iss": self._issuer, "iat": now, "exp": now + self._lifetime}
        for kind in ("jti", "gid"):
            claims[f"{kind}s"] = {row.value: row.expires_at for row in found if row.kind == kind}
        text = self._keys.sign(LIST_TYP, claims, self._alg)
        return SignedList(text, f'"{version}.{period}"', current)


class RevocationEndpoint(AuthlibEndpoint):  # type: ignore[misc]
    """POST /revoke. The hint never changes the result (RFC 7009 §2.1)."""

    ENDPOINT_NAME = "revoke"
    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
    server: AuthorizationServer

    def check_params(self, request: ProtocolRequest, client: ClientRecord) -> None:
        """``token`` is there."""
        if "token" not in request.form:
            raise missing_token(client)

    def authenticate_token(
        self, request: ProtocolRequest, client: ClientRecord
    ) -> dict[str, Any] | Presented | None:
        """The client's own refresh token, or the claims of its access token; None for one that is neither.

        RFC 7009 §2.1: another client's token is refused and stays as it is.
        """
        self.check_params(request, client)
        presented = self.server.single_use.find("refresh_token", request.form["token"])
        if presented is not None:
            self._judge_owner(presented.authorization.client_id, client)
            return presented
        try:
            claims = self.server.tokens.read(request.form["token"])
        except jws.Rejected as rejection:
            entry = Entry(Event.REVOCATION_NOOP, "succeeded", rejection.reason, client.client_id)
            self.server.audit.record(entry)
            return None
        self._judge_owner(claims["client_id"], client)
        return claims

    def revoke_token(self, token: dict[str, Any] | Presented, request: ProtocolRequest) -> None:
        """The token counts no longer, at once for introspection, within a second for those who poll.

        A refresh token ends with all that its authorization gave (RFC 7009 §2.1).
        """
        client_id = request.client.client_id
        if isinstance(token, dict):
            detail = {"kind": "access_token", "jti": token["jti"]}
            entry = Entry(Event.TOKEN_REVOKED, client_id=client_id, detail=detail)
            self.server.revocations.end("jti", token["jti"], token["exp"], entry)
            return
        detail = {"kind": "refresh_token", "gid": token.authorization.gid}
        user_id = token.authorization.user_id
        entry = Entry(Event.TOKEN_REVOKED, client_id=client_id, user_id=user_id, detail=detail)
        if not self.server.single_use.end(token, entry):
            self.server.audit.record(Entry(Event.REVOCATION_NOOP, "succeeded", "ended", client_id))

    @staticmethod
    def _judge_owner(owner: str, client: ClientRecord) -> None:
        if owner != client.client_id:
            raise ProtocolError(
                "invalid_grant",
                "The token was not issued to this client.",
                event=Event.REVOCATION_DENIED,
                reason="client_mismatch",
                client_id=client.client_id,
            )
