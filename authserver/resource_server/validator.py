"""Offline validation: keys, claims, and the revocation list if there is one (RFC 9068 §4)."""

from typing import Protocol

from .access_token import AccessToken
from .claims import Rules, check_audience, check_issuer, check_times, read_access_token
from .issuer import Issuer
from .jwks import JwksSource
from .jws import Expected, open_signed
from .keys import KeySource
from .revocations import RevocationList

_TYPES = frozenset({"at+jwt", "application/at+jwt"})


class TokenValidator(Protocol):
    """Whatever turns the text of a token into an AccessToken, or refuses it with a TokenError."""

    def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
        """Return the valid token that has every name in `scope`, parted by spaces."""


class Validator:
    """Validates JWT access tokens of one issuer for one API, without a call per request.

    `audience` is the URI by which the issuer knows this API. Keys are found through the issuer's
    metadata unless `keys` says otherwise. Without `revocations` a token ends at its expiry only.
    """

    def __init__(
        self,
        *,
        issuer: str | Issuer,
        audience: str,
        keys: KeySource | None = None,
        revocations: RevocationList | None = None,
        rules: Rules | None = None,
    ) -> None:
        if not audience:
            raise ValueError("an API has an audience")
        self._rules = rules or Rules()
        self._issuer = issuer.identifier if isinstance(issuer, Issuer) else issuer
        self._audience = audience
        self._keys = keys or JwksSource(issuer)
        self._revocations = revocations
        self._expected = Expected(_TYPES, self._rules.algorithms, self._rules.max_bytes)

    @classmethod
    def discover(cls, issuer: str, audience: str) -> "Validator":
        """A validator with the issuer's keys and its revocation list, both found by its metadata.

        A revoked token is refused within a second; Unavailable when the list cannot be confirmed.
        """
        known = Issuer(issuer)
        keys = JwksSource(known)
        return cls(issuer=known, audience=audience, keys=keys, revocations=RevocationList(known, keys))

    def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
        """Return the valid token that has every name in `scope`, parted by spaces (RFC 9068 §4).

        InvalidToken, InsufficientScope, or Unavailable without keys or revocation list.
        """
        claims = open_signed(token, self._expected, self._keys)
        check_issuer(claims, self._issuer)
        check_audience(claims, self._audience)
        check_times(claims, self._rules, required=("exp", "iat"))
        access_token = read_access_token(claims)
        if self._revocations is not None:
            self._revocations.check(access_token.jti, access_token.gid)
        if scope is not None:
            access_token.require(scope)
        return access_token
