"""The issuer's public keys, imported once and used for many signatures (RFC 7517)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from .strict_json import read_object

# Each signature algorithm and the one kind of key that may make it; symmetric ones and `none` never enter.
_KINDS: Mapping[str, tuple[str, str | None]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
}
ALGORITHMS = frozenset(_KINDS)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True)
class VerificationKey:
    """A public key of the issuer, good for exactly one algorithm."""

    kid: str
    alg: str
    _key: Key = field(repr=False)

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether `signature` (raw bytes, as in RFC 7518 §3.4) was made over `signing_input`."""
        try:
            return JWSRegistry.algorithms[self.alg].verify(signing_input, signature, self._key)
        except ValueError:
            return False


class KeySource(Protocol):
    """Where a validator finds the issuer's keys."""

    def key(self, kid: str) -> VerificationKey | None:
        """Return the key named `kid`, None if the issuer has none; Unavailable if nobody can tell."""


class StaticKeys:
    """A key source that never changes: for tests, test vectors and air-gapped APIs."""

    def __init__(self, jwks: bytes) -> None:
        self._keys = parse_jwks(jwks)

    def key(self, kid: str) -> VerificationKey | None:
        """Return the key named `kid`, or None."""
        return self._keys.get(kid)


def parse_jwks(body: bytes) -> dict[str, VerificationKey]:
    """Return the usable keys of a JWK Set by `kid`; ValueError if `body` is no JWK Set.

    Skipped, as RFC 7517 §5 asks: keys without `kid` or `alg`, of other kinds or uses, weak or
    broken ones, ones that leak private members, and all that share a `kid`.
    """
    entries = read_object(body).get("keys")
    if not isinstance(entries, list):
        raise ValueError("no JWK Set")
    jwks = [jwk for jwk in entries if isinstance(jwk, dict) and _is_usable(jwk)]
    names = Counter(
        jwk["kid"] for jwk in entries if isinstance(jwk, dict) and isinstance(jwk.get("kid"), str)
    )
    keys = (_import(jwk) for jwk in jwks if names[jwk["kid"]] == 1)
    return {key.kid: key for key in keys if key is not None}


def _is_usable(jwk: dict[str, Any]) -> bool:
    alg, kid = jwk.get("alg"), jwk.get("kid")
    if not (isinstance(kid, str) and kid and isinstance(alg, str) and alg in _KINDS):
        return False
    kty, curve = _KINDS[alg]
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == kty
        and jwk.get("crv") == curve
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and _PRIVATE_MEMBERS.isdisjoint(jwk)
    )


def _import(jwk: dict[str, Any]) -> VerificationKey | None:
    kind: dict[str, type[ECKey] | type[OKPKey] | type[RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
    try:
        # joserfc only warns of a short modulus; 4 characters carry 3 bytes.
        if jwk["kty"] == "RSA" and len(jwk["n"]) * 6 < _RSA_BITS.start:
            return None
        key = kind[jwk["kty"]].import_key(jwk)
        if isinstance(key, RSAKey) and key.raw_value.key_size not in _RSA_BITS:
            return None
        key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return VerificationKey(jwk["kid"], jwk["alg"], key)
