"""private_key_jwt (RFC 7523 §2.2, OpenID Connect Core §9): a client proves itself by a signed assertion.

Stricter than those, as FAPI 2.0 §5.3.2.1 and RFC 7523bis are: ``aud`` is the issuer as a plain string, the
assertion lives 300 seconds at most, and its ``jti`` counts once on all workers, at all endpoints.
"""

from __future__ import annotations

from typing import Any

from .. import clock, jws
from ..clients import ClientRecord, is_client_id
from ..config import SIGNING_ALGS
from ..replay import ReplayGuard
from .client_keys import ClientKeys

METHOD = "private_key_jwt"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
MAX_SECONDS = 300
# FAPI 2.0 §5.3.2.1: clocks differ by ten seconds
LEEWAY = 10
MAX_JTI = 256
PURPOSE = "client_assertion"


def read(text: str) -> tuple[str, jws.Unverified]:
    """Whom an assertion is about, and the assertion, unverified; jws.Rejected when it is none."""
    assertion = jws.parse(text, typ=TYPES, algs=SIGNING_ALGS)
    subject = assertion.claims.get("sub")
    # RFC 7523 §3: both are the client_id
    if not isinstance(subject, str) or not is_client_id(subject) or assertion.claims.get("iss") != subject:
        raise jws.Rejected("iss_sub")
    return subject, assertion


class PrivateKeyJwt:
    """Judges assertions. What is spent is spent last: a refused assertion costs its ``jti`` nothing."""

    def __init__(self, issuer: str, keys: ClientKeys, replay: ReplayGuard) -> None:
        self._issuer = issuer
        self._keys = keys
        self._replay = replay

    def verify(self, client: ClientRecord | None, assertion: jws.Unverified) -> None:
        """The assertion was signed by ``client`` and holds now; jws.Rejected otherwise."""
        alg = assertion.header["alg"]
        key = None
        registered = client is not None and client.token_endpoint_auth_method == METHOD
        # OpenID Connect Registration §2: a client that named one algorithm signs with no other
        if registered and client is not None and client.assertion_alg in (None, alg):
            key = self._keys.find(client, assertion.kid, alg)
        if key is None:
            # a stranger's signature costs what a client's does
            assertion.verify_in_vain()
            raise jws.Rejected("kid")
        claims = assertion.verify(key.key, alg)
        if claims.get("aud") != self._issuer:
            raise jws.Rejected("aud")
        _judge_times(claims)
        if not isinstance(claims.get("jti"), str) or not 0 < len(claims["jti"]) <= MAX_JTI:
            raise jws.Rejected("jti")

    def spend(self, client: ClientRecord, assertion: jws.Unverified) -> bool:
        """Whether this is the assertion's first use."""
        claims = assertion.claims
        value = f"{client.client_id} {claims['jti']}"
        return self._replay.claim(PURPOSE, value, jws.numeric_date(claims, "exp"))


def _judge_times(claims: dict[str, Any]) -> None:
    now = clock.now()
    expires_at = jws.numeric_date(claims, "exp")
    if not now < expires_at <= now + MAX_SECONDS:
        raise jws.Rejected("exp")
    for name in ("iat", "nbf"):
        if name in claims and jws.numeric_date(claims, name) > now + LEEWAY:
            raise jws.Rejected(name)
