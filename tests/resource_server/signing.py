"""Keys and tokens that the tests sign themselves, good ones and broken ones."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "https://api.example/payments"
NOW = 1_800_000_000


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode(value: Any) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


@dataclass
class SigningKey:
    """A key pair with its name and algorithm, published as `jwk`."""

    kid: str
    alg: str = "ES256"
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        made = {"E": ECKey, "P": RSAKey}
        kind = OKPKey if self.alg in ("EdDSA", "Ed25519") else made[self.alg[0]]
        sizes = {"ES384": "P-384", "ES256": "P-256", "PS256": 2048, "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
        self.key = kind.generate_key(sizes[self.alg])

    @property
    def jwk(self) -> dict[str, Any]:
        return {**self.key.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def sign(self, signing_input: bytes) -> bytes:
        return JWSRegistry.algorithms[self.alg].sign(signing_input, self.key)

    def jwt(self, claims: Any, header: Any = None) -> str:
        """Sign `claims` (a dict or bytes) under `header` (members to change, None drops; or bytes)."""
        if not isinstance(header, bytes):
            members = {"typ": "at+jwt", "alg": self.alg, "kid": self.kid, **(header or {})}
            header = {name: value for name, value in members.items() if value is not None}
        signing_input = f"{encode(header)}.{encode(claims)}"
        return f"{signing_input}.{b64(self.sign(signing_input.encode()))}"


def jwks(*keys: SigningKey) -> bytes:
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()


def claims(issuer: str, now: int, **changes: Any) -> dict[str, Any]:
    """Claims of a good access token; a change to `...` drops a member."""
    members = {
        "iss": issuer,
        "sub": "client-1",
        "aud": AUDIENCE,
        "client_id": "client-1",
        "iat": now,
        "exp": now + 300,
        "jti": "token-1",
        "gid": "grant-1",
        "scope": "payments:read payments:initiate",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}
