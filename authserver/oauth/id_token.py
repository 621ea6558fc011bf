"""ID tokens (OpenID Connect Core §2): who logged in, when and how, told to one client."""

from __future__ import annotations

from typing import Any

from .. import clock, crypto
from ..clients import ClientRecord
from ..config import Settings
from ..keys import KeyStore
from ..users import Users
from . import claims as claims_of
from .authorizations import AuthorizationRecord
from .subjects import Subjects

TYP = "JWT"


class IdTokens:
    """Signs each with the algorithm its client is registered for."""

    def __init__(self, settings: Settings, keys: KeyStore, users: Users, subjects: Subjects) -> None:
        self._issuer = settings.issuer
        self._lifetime = settings.access_token_lifetime
        self._keys = keys
        self._users = users
        self._subjects = subjects

    def issue(
        self, client: ClientRecord, granted: AuthorizationRecord, nonce: str | None, access_token: str
    ) -> str:
        """The ID token that goes with ``access_token``; ``nonce`` is that of the authorization request.

        One for a refreshed token (§12.2) differs in its times and has no nonce. There is no ``azp``: the
        client is the only audience (§2). ``c_hash`` is for codes from the authorization endpoint (§3.3.2.11).
        """
        now = clock.now()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": self._subjects.subject_of(client, granted.user_id),
            "aud": client.client_id,
            "iat": now,
            "exp": now + self._lifetime,
            "auth_time": granted.auth_time,
            "acr": granted.acr,
            "amr": list(granted.amr),
            "sid": self._subjects.session_of(client, granted.sid),
            "at_hash": at_hash(access_token, client.id_token_alg),
        }
        if names := granted.single_claims("id_token", client):
            user = self._users.get(granted.user_id)
            claims = (claims_of.single(user, names) if user else {}) | claims
        if nonce is not None:
            claims["nonce"] = nonce
        return self._keys.sign(TYP, claims, client.id_token_alg)


def at_hash(access_token: str, alg: str) -> str:
    """The left half of the token's digest by the hash of ``alg`` (OpenID Connect Core §3.1.3.6).

    Ed25519 hashes with SHA-512; all other algorithms of this server with SHA-256.
    """
    data = access_token.encode("ascii")
    digest = crypto.sha512(data) if alg == "EdDSA" else crypto.sha256(data)
    return crypto.b64u(digest[: len(digest) // 2])
