"""What a client does at the issuer: send the browser there, and turn what comes back into tokens.

Authlib's client makes the authorization URL (PKCE, state, nonce) and speaks to the token endpoint; its
`CodeIDToken` judges most of the ID token. What it leaves open is checked here, step by step.
"""

import json
import weakref
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from .orders import Attempt
from .settings import ShopSettings

SCOPE = "openid payments:initiate"
# Pinned at registration: a token signed in any other way is not ours.
ID_TOKEN_ALGORITHM = "ES256"
LEEWAY_SECONDS = 30
TIMEOUT_SECONDS = 5.0

Tokens = dict[str, Any]


class Refused(Exception):
    """The issuer gives no tokens, or none that fit what was asked; nothing can be paid with this code."""


class Unreachable(Exception):
    """The issuer did not answer."""


class IssuerClient:
    """This shop as a client of its issuer; safe to share between threads."""

    def __init__(self, settings: ShopSettings) -> None:
        self._settings = settings
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        weakref.finalize(self, self._http.close)
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None

    def authorization_url(self, attempt: Attempt, payment: dict[str, Any]) -> str:
        """Return where to send the browser; it carries the whole payment (RFC 9396 §3).

        What an API demanded of an earlier attempt goes along (RFC 9470 §4).
        """
        url, _state = self._client().create_authorization_url(
            self._endpoint("authorization_endpoint"),
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.code_verifier,
            authorization_details=json.dumps([payment]),
            **attempt.step_up,
        )
        return str(url)

    def redeem(self, code: str, attempt: Attempt, payment: dict[str, Any]) -> str:
        """Return the access token for a code, held to the attempt and to the payment that was asked for."""
        tokens = self._fetch(grant_type="authorization_code", code=code, code_verifier=attempt.code_verifier)
        self._check_id_token(tokens, attempt.nonce)
        if _as_requested(tokens.get("authorization_details")) != [payment]:
            raise Refused("another payment was approved than the one that was asked for")
        return str(tokens["access_token"])

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            self._http,
            client_id=self._settings.client_id,
            scope=SCOPE,
            redirect_uri=self._settings.redirect_uri,
            code_challenge_method="S256",
        )

    def _fetch(self, **form: str) -> Tokens:
        basic = httpx.BasicAuth(self._settings.client_id, self._settings.client_secret)
        try:
            answer = self._client().fetch_token(self._endpoint("token_endpoint"), auth=basic, **form)
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable("the token endpoint") from error
        except AuthlibBaseError as error:
            raise Refused(f"the token endpoint says {error.error!r}") from error
        tokens = dict(answer)
        of_type = str(tokens.get("token_type")).lower()
        if of_type != "bearer" or not isinstance(tokens.get("access_token"), str):
            raise Refused("the token response has no bearer token")
        return tokens

    def _check_id_token(self, tokens: Tokens, nonce: str) -> None:
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise Refused("there is no ID token")
        try:
            token = self._decode(text)
            # Authlib compares issuer and audience only if it is told what to expect
            expected = {"iss": {"value": self._settings.issuer}, "aud": {"value": self._settings.client_id}}
            parameters = {"nonce": nonce, "access_token": tokens["access_token"]}
            claims = CodeIDToken(token.claims, token.header, expected, parameters)
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            raise Refused(f"the ID token is not for this shop: {error}") from error
        # OpenID Connect Core §3.1.3.7: nobody else is addressed, and the access token is the one meant
        if claims["aud"] not in (self._settings.client_id, [self._settings.client_id]):
            raise Refused("the ID token has other audiences too")
        if "at_hash" not in claims:
            raise Refused("the ID token does not name its access token")

    def _decode(self, text: str) -> jwt.Token:
        try:
            return jwt.decode(text, self._key_set(), algorithms=[ID_TOKEN_ALGORITHM])
        except InvalidKeyIdError:
            # the issuer's keys were rotated since they were read
            self._keys = None
            return jwt.decode(text, self._key_set(), algorithms=[ID_TOKEN_ALGORITHM])

    def _key_set(self) -> KeySet:
        if self._keys is None:
            self._keys = KeySet.import_key_set(self._get(self._endpoint("jwks_uri")))
        return self._keys

    def _endpoint(self, name: str) -> str:
        if not self._metadata:
            issuer = self._settings.issuer
            metadata = self._get(f"{issuer}/.well-known/oauth-authorization-server")
            # RFC 8414 §3.3: metadata that speaks for another issuer is a mix-up or an attack
            if metadata.get("issuer") != issuer:
                raise Unreachable("the issuer's metadata is not its own")
            if not isinstance(metadata.get(name), str):
                raise Unreachable(f"the issuer has no {name}")
            self._metadata = metadata
        return str(self._metadata[name])

    def _get(self, url: str) -> Any:
        try:
            answer = self._http.get(url).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(url) from error
        if not isinstance(answer, dict):
            raise Unreachable(url)
        return answer


_ADDED = ("debtorAccount", "approval")


def _as_requested(details: Any) -> Any:
    # the payer chose the account to pay from, and the issuer names its evidence of that; all else must be
    # what was asked for (RFC 9396 §7)
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        return None
    return [{name: detail[name] for name in detail if name not in _ADDED} for detail in details]
