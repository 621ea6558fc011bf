"""Access tokens, JWTs or opaque: minted in one place from one value, found again in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select

from .. import clock, crypto, jws
from ..audit import Audit, Entry, Event
from ..clients import ClientRecord, Clients, ResourceServerRecord
from ..config import Settings
from ..db import Database, table_of
from ..keys import KeyStore
from ..models.token import Revocation
from ..users import Users
from . import reference_tokens
from .authorizations import AuthorizationRecord
from .authorizations import table as authorizations
from .subjects import Subjects

ACCESS_TOKEN_TYP = "at+jwt"  # noqa: S105 - the media type of RFC 9068 §2.1
SKEW = 5
# what UserInfo tells beyond the scope: claims that were asked for one by one (OpenID Connect Core §5.5)
SINGLE_CLAIMS = "userinfo_claims"

revocations = table_of(Revocation)
# built once: to build a statement costs as much as to execute it
_OWN_ENDED = (
    select(revocations.c.kind)
    .where(revocations.c.kind == "jti", revocations.c.value == bindparam("jti"))
    .limit(1)
)
# of a person's token: whose it is, besides
_PERSONS = select(
    authorizations.c.user_id,
    exists()
    .where(
        or_(
            (revocations.c.kind == "jti") & (revocations.c.value == bindparam("jti")),
            (revocations.c.kind == "gid") & (revocations.c.value == bindparam("gid")),
        )
    )
    .label("ended"),
).where(authorizations.c.gid == bindparam("gid"))


@dataclass(frozen=True, slots=True)
class Issuance:
    """Everything a token will say, judged before it is minted."""

    client: ClientRecord
    scopes: tuple[str, ...]
    # None: the token is for this server alone
    resource_server: ResourceServerRecord | None
    grant_type: str
    # of the person that the client acts for; without one it acts for itself
    authorization: AuthorizationRecord | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a token counts no longer, or an empty ``reason``; ``user_id`` is its person, if it has one."""

    reason: str
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Minted:
    """A token response (RFC 6749 §5.1) and the audit row that must be durable before it is given out."""

    response: dict[str, Any]
    entry: Entry
    # as which an opaque token rests; None for a JWT
    row: dict[str, Any] | None = None

    def rest_in(self, connection: Connection) -> None:
        """The token counts, should it be opaque, once the transaction of ``connection`` commits."""
        if self.row is not None:
            reference_tokens.rest_in(connection, self.row)


class Tokens:
    """Mints RFC 9068 access tokens and tells which of them still hold."""

    def __init__(  # noqa: PLR0913, PLR0917 - the rooms that meet here
        self,
        settings: Settings,
        database: Database,
        keys: KeyStore,
        audit: Audit,
        clients: Clients,
        users: Users,
        subjects: Subjects,
    ) -> None:
        self.issuer = settings.issuer
        self._lifetime = settings.access_token_lifetime
        self._alg = settings.access_token_alg
        self._database = database
        self._keys = keys
        self._audit = audit
        self._clients = clients
        self._users = users
        self._subjects = subjects

    def issue(self, issuance: Issuance) -> dict[str, Any]:
        """A token response whose audit row is committed before it is given out."""
        minted = self.mint(issuance)
        if minted.row is None:
            self._audit.record(minted.entry)
            return minted.response
        with self._database.writing() as connection:
            minted.rest_in(connection)
            self._audit.record_in(connection, minted.entry)
        return minted.response

    def mint(self, issuance: Issuance) -> Minted:
        """A token that is on no record yet: whoever asked for it commits its rows."""
        now = clock.now()
        granted = issuance.authorization
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": self._subject(issuance),
            "aud": self._audience(issuance),
            "client_id": issuance.client.client_id,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": crypto.identifier(),
            "scope": " ".join(issuance.scopes),
        }
        if granted is not None:
            claims |= _of_person(granted)
            if single := granted.userinfo_claims(issuance.client, issuance.scopes):
                claims[SINGLE_CLAIMS] = single
        text, row = self._form(issuance, claims)
        response = {
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": self._lifetime,
            "scope": claims["scope"],
        }
        if "authorization_details" in claims:
            response["authorization_details"] = claims["authorization_details"]
        told = {name: claims[name] for name in ("jti", "scope", "aud", "gid") if name in claims}
        entry = Entry(
            Event.TOKEN_ISSUED,
            client_id=issuance.client.client_id,
            user_id=granted.user_id if granted else "",
            session_id=granted.sid if granted else "",
            detail={"grant_type": issuance.grant_type} | told,
        )
        return Minted(response, entry, row)

    def _form(self, issuance: Issuance, claims: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        """The token in the form that its client gets, and the row of an opaque one."""
        if issuance.client.opaque:
            return reference_tokens.make(claims)
        api = issuance.resource_server
        alg = (api.signing_alg if api else None) or self._alg
        return self._keys.sign(ACCESS_TOKEN_TYP, claims, alg), None

    def _subject(self, issuance: Issuance) -> str:
        """The person as this client knows them, or the client itself (RFC 9068 §2.2)."""
        client, granted = issuance.client, issuance.authorization
        return self._subjects.subject_of(client, granted.user_id) if granted else client.client_id

    def _audience(self, issuance: Issuance) -> str | list[str]:
        """The API, and this server where userinfo will be asked (design §5)."""
        api = [issuance.resource_server.audience] if issuance.resource_server else []
        if not api or (issuance.authorization is not None and "openid" in issuance.scopes):
            api.append(self.issuer)
        return api[0] if len(api) == 1 else api

    def read(self, text: str) -> dict[str, Any]:
        """The claims of an access token of this issuer that has not expired; jws.Rejected otherwise.

        Says nothing about revocation: ``standing`` does.
        """
        claims = self.known(text)
        now = clock.now()
        if claims.get("iss") != self.issuer:
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

    def known(self, text: str) -> dict[str, Any]:
        """What an access token that this server gave out says, however old it is; jws.Rejected otherwise."""
        if text.startswith(reference_tokens.PREFIX):
            return reference_tokens.find(self._database, text)
        return self._keys.verify(text, [ACCESS_TOKEN_TYP])

    def standing(self, claims: dict[str, Any]) -> Standing:
        """Whether a token that ``read`` accepted still counts, and whose it is; one query."""
        client = self._clients.get(claims["client_id"])
        if client is None or not client.active:
            return Standing("client_disabled")
        names = {"jti": claims["jti"], "gid": claims.get("gid", "")}
        with self._database.reading() as connection:
            if "gid" not in claims:
                return Standing("revoked" if connection.execute(_OWN_ENDED, names).first() else "")
            row = connection.execute(_PERSONS, names).one_or_none()
        if row is None:
            return Standing("revoked")
        # disabling a person ends their authorizations too; this holds even where that was forgotten
        user = self._users.get(row.user_id)
        if user is None or not user.active:
            return Standing("user_disabled")
        if row.ended:
            return Standing("revoked")
        # an operator may have changed by which ids the client knows people
        known = self._subjects.subject_of(client, row.user_id) == claims["sub"]
        return Standing("" if known else "subject", row.user_id)


def _of_person(granted: AuthorizationRecord) -> dict[str, Any]:
    """What a token says of the person's authorization (RFC 9068 §2.2.1, RFC 9396 §9.1)."""
    claims: dict[str, Any] = {
        "gid": granted.gid,
        "acr": granted.acr,
        "amr": list(granted.amr),
        "auth_time": granted.auth_time,
    }
    if granted.authorization_details:
        claims["authorization_details"] = granted.authorization_details
    return claims
