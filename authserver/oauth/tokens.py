"""Access tokens: minted in one place from one value, found again in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, or_, select

from .. import clock, crypto, jws
from ..audit import Audit, Entry, Event
from ..clients import ClientRecord, Clients, ResourceServerRecord
from ..config import Settings
from ..db import Database, table_of
from ..keys import KeyStore
from ..models.token import Revocation

ACCESS_TOKEN_TYP = "at+jwt"  # noqa: S105 - the media type of RFC 9068 §2.1
SKEW = 5

revocations = table_of(Revocation)
# built once: to build a statement costs as much as to execute it
_ENDED = (
    select(revocations.c.kind)
    .where(
        or_(
            (revocations.c.kind == "jti") & (revocations.c.value == bindparam("jti")),
            (revocations.c.kind == "gid") & (revocations.c.value == bindparam("gid")),
        )
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Issuance:
    """Everything a token will say, judged before it is minted. ``subject`` is the client without a person."""

    client: ClientRecord
    subject: str
    scopes: tuple[str, ...]
    resource_server: ResourceServerRecord
    grant_type: str


class Tokens:
    """Mints RFC 9068 access tokens and tells which of them still hold."""

    def __init__(
        self, settings: Settings, database: Database, keys: KeyStore, audit: Audit, clients: Clients
    ) -> None:
        self._issuer = settings.issuer
        self._lifetime = settings.access_token_lifetime
        self._alg = settings.access_token_alg
        self._database = database
        self._keys = keys
        self._audit = audit
        self._clients = clients

    def issue(self, issuance: Issuance) -> dict[str, Any]:
        """A token response (RFC 6749 §5.1) whose audit row is committed before it is given out."""
        now = clock.now()
        jti = crypto.random_token(128)
        claims = {
            "iss": self._issuer,
            "sub": issuance.subject,
            "aud": issuance.resource_server.audience,
            "client_id": issuance.client.client_id,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": jti,
            "scope": " ".join(issuance.scopes),
        }
        alg = issuance.resource_server.signing_alg or self._alg
        token = self._keys.sign(ACCESS_TOKEN_TYP, claims, alg)
        detail = {
            "grant_type": issuance.grant_type,
            "jti": jti,
            "scope": claims["scope"],
            "aud": claims["aud"],
        }
        self._audit.record(Entry(Event.TOKEN_ISSUED, client_id=issuance.client.client_id, detail=detail))
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._lifetime,
            "scope": claims["scope"],
        }

    def read(self, text: str) -> dict[str, Any]:
        """The claims of an access token of this issuer that has not expired; jws.Rejected otherwise.

        Says nothing about revocation: ``ended`` does.
        """
        claims = self._keys.verify(text, [ACCESS_TOKEN_TYP])
        now = clock.now()
        if claims.get("iss") != self._issuer:
            raise jws.Rejected("iss")
        if jws.numeric_date(claims, "exp") <= now:
            raise jws.Rejected("exp")
        if jws.numeric_date(claims, "iat") > now + SKEW:
            raise jws.Rejected("iat")
        if not all(isinstance(claims.get(name), str) for name in ("sub", "client_id", "jti", "scope")):
            raise jws.Rejected("claims")
        if not isinstance(claims.get("aud"), str | list):
            raise jws.Rejected("aud")
        return claims

    def ended(self, claims: dict[str, Any]) -> str:
        """Why a token that ``read`` accepted no longer counts, or an empty string; one query."""
        client = self._clients.get(claims["client_id"])
        if client is None or not client.active:
            return "client_disabled"
        names = {"jti": claims["jti"], "gid": claims.get("gid", "")}
        with self._database.reading() as connection:
            if connection.execute(_ENDED, names).first():
                return "revoked"
        return ""
