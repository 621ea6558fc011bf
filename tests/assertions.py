"""Clients that prove themselves by private_key_jwt, and the assertions they make, right and wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from plugins.app import World

from authserver import clock, crypto, jws
from authserver.oauth.private_key_jwt import ASSERTION_TYPE

MAKERS: dict[str, Any] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "PS256": lambda: RSAKey.generate_key(2048),
}
ABSENT = object()


@dataclass
class Signer:
    """A key of a client."""

    alg: str = "ES256"
    kid: str = "k1"
    key: Any = field(init=False)

    def __post_init__(self) -> None:
        self.key = MAKERS[self.alg]()

    def public(self, **members: Any) -> dict[str, Any]:
        """The public JWK, ``members`` added."""
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig"} | members

    def assertion(self, world: World, client_id: str, header: Any = None, **claims: Any) -> str:
        """An assertion as the client makes it; a claim of ABSENT is left out."""
        now = clock.now()
        usual = {
            "iss": client_id,
            "sub": client_id,
            "aud": world.services.settings.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": crypto.random_token(),
        }
        given = {name: value for name, value in (usual | claims).items() if value is not ABSENT}
        head = {"alg": self.alg, "kid": self.kid} | (header or {})
        return jws.sign({name: value for name, value in head.items() if value is not ABSENT}, given, self.key)


def form(assertion: str, **fields: str) -> dict[str, str]:
    """The form of a token request that presents ``assertion``."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **fields,
    }


def register(world: World, client_id: str, signer: Signer | None = None, **values: Any) -> None:
    """A client of private_key_jwt that signs with ``signer``, or has the keys among ``values``."""
    keys = {"jwks": {"keys": [signer.public()]}} if signer else {}
    usual = {
        "client_id": client_id, "client_name": client_id, "state": "active", "tier": "gold",
        "token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"],
        "redirect_uris": [], "scopes": ["payments:read"], "profile": "oauth21",
    }  # fmt: skip
    world.services.clients.create(usual | keys | values)
    world.services.versions.forget()
    if signer:
        world.methods[client_id] = "private_key_jwt"
        world.assertions[client_id] = lambda: signer.assertion(world, client_id)
