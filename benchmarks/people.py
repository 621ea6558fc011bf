"""A person who is signed in and has agreed, and the clients that send people or sign assertions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey

from authserver import clock, crypto, jws
from authserver.db import table_of
from authserver.models.grant import Grant
from authserver.oauth import pkce
from authserver.oauth.authorization_request import AuthorizationRequest
from authserver.oauth.private_key_jwt import ASSERTION_TYPE
from authserver.services import Services

SHOP, SIGNER = "bench-shop", "bench-signer"
CALLBACK = "https://shop.example/callback"
SCOPES = ("openid", "offline_access")
VERIFIER = "v" * 43
# as long as any other
A_CODE = "c" * 43
ASKED = {
    "response_type": "code",
    "client_id": SHOP,
    "redirect_uri": CALLBACK,
    "scope": " ".join(SCOPES),
    "state": "s",
    "nonce": "n",
    "code_challenge": pkce.s256(VERIFIER),
    "code_challenge_method": "S256",
}
REDEEMING = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}


@dataclass(frozen=True)
class People:
    """What ``settle`` made: one person, what they agreed to, and the two clients' credentials."""

    services: Services
    user_id: str
    grant_id: str
    secret: str
    key: ECKey

    def session(self) -> str:
        """The cookie of a new session."""
        start = self.services.sessions.start
        return start(self.user_id, acr="urn:authserver:acr:password", amr=("pwd",))

    def cookies(self) -> str:
        """What the browser of a person sends who has just signed in."""
        return f"sid={self.session()}; browser={crypto.random_token()}"

    def codes(self, count: int) -> list[str]:
        """Codes as the consent page gives them."""
        services = self.services
        session = services.sessions.read(self.session())
        assert session is not None
        request = AuthorizationRequest(
            client_id=SHOP,
            redirect_uri=CALLBACK,
            scopes=SCOPES,
            audience=(services.settings.issuer,),
            nonce=ASKED["nonce"],
            code_challenge=ASKED["code_challenge"],
        )
        with services.database.writing() as connection:
            complete = services.authorizations.complete_in
            return [complete(connection, request, session, self.grant_id, None).code for _ in range(count)]

    def assertion(self) -> dict[str, str]:
        """A form's parameters with an assertion that nobody has seen yet (RFC 7523 §2.2)."""
        now = clock.now()
        claims = {
            "iss": SIGNER,
            "sub": SIGNER,
            "aud": self.services.settings.issuer,
            "iat": now,
            "exp": now + 240,
            "jti": crypto.random_token(),
        }
        text = jws.sign({"alg": "ES256", "kid": "k1"}, claims, self.key)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}


def settle(services: Services) -> People:
    """The person and the clients exist, and the person has agreed."""
    key = ECKey.generate_key("P-256")
    public = key.as_dict(private=False) | {"kid": "k1", "use": "sig", "alg": "ES256"}
    grants = ["authorization_code", "refresh_token"]
    shop = {"grant_types": grants, "redirect_uris": [CALLBACK], "scopes": list(SCOPES)}
    _, secret = services.clients.create(_client(SHOP, "client_secret_basic", shop))
    signer = {"grant_types": ["client_credentials"], "redirect_uris": [], "scopes": ["payments:initiate"]}
    services.clients.create(_client(SIGNER, "private_key_jwt", signer | {"jwks": {"keys": [public]}}))
    user = services.users.find("alice")
    assert user is not None
    now, grant_id = clock.now(), crypto.random_token(128)
    row = {
        "grant_id": grant_id,
        "user_id": user.user_id,
        "client_id": SHOP,
        "scopes": list(SCOPES),
        "created_at": now,
        "updated_at": now,
    }
    with services.database.writing() as connection:
        connection.execute(table_of(Grant).insert().values(row))
    return People(services, user.user_id, grant_id, str(secret), key)


def _client(client_id: str, method: str, values: dict[str, Any]) -> dict[str, Any]:
    usual = {"client_id": client_id, "client_name": client_id, "state": "active", "tier": "gold"}
    return usual | {"token_endpoint_auth_method": method, "profile": "oauth21"} | values
