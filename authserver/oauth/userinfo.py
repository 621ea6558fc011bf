"""The UserInfo endpoint (OpenID Connect Core §5.3): the token comes in the Authorization header alone."""

from __future__ import annotations

from typing import Any

from .. import clock, jws
from ..audit import Event
from ..clients import ClientRecord, Clients
from ..errors import ProtocolError
from ..keys import KeyStore
from ..throttle import Throttle
from ..users import Users
from . import claims
from .request import FORM, HTTPRequest, parse_form
from .tokens import SINGLE_CLAIMS, Tokens

SIGNED_TYP = "JWT"
REALM = 'Bearer realm="authserver"'


def refused(error: str, reason: str, description: str, status: int, more: str = "") -> ProtocolError:
    """An error with its challenge (RFC 6750 §3)."""
    challenge = f'{REALM}, error="{error}", error_description="{description}"{more}'
    return ProtocolError(
        error,
        description,
        event=Event.RESOURCE_REJECTED,
        reason=reason,
        status=status,
        headers=[("WWW-Authenticate", challenge)],
    )


def invalid_token(reason: str) -> ProtocolError:
    """invalid_token (RFC 6750 §3.1), the same whatever is wrong with it."""
    return refused("invalid_token", reason, "The access token is not valid here.", 401)


class UserInfo:
    """Answers who the person behind a token is, as far as its scope goes."""

    def __init__(
        self, tokens: Tokens, clients: Clients, users: Users, keys: KeyStore, throttle: Throttle
    ) -> None:
        self._tokens = tokens
        self._clients = clients
        self._users = users
        self._keys = keys
        self._throttle = throttle

    def answer(
        self, request: HTTPRequest
    ) -> tuple[dict[str, Any] | str, ClientRecord, list[tuple[str, str]]]:
        """The claims, the client that asks, and what it has left of its tier; ProtocolError otherwise.

        They are a JWT where the client is registered for that.
        """
        token, user_id = self._judge(bearer(request))
        client = self._clients.get(token["client_id"])
        user = self._users.get(user_id)
        assert client is not None and user is not None, "a token that counts has both"
        quota = self._throttle.after(request.endpoint, client.client_id, client.tier)
        # OpenID Connect Core §5.3.2: the sub of the ID token
        told = claims.of(user, token["scope"], token.get(SINGLE_CLAIMS, ())) | {"sub": token["sub"]}
        return self._signed(client, told) if client.userinfo_alg else told, client, quota.headers()

    def _signed(self, client: ClientRecord, told: dict[str, Any]) -> str:
        """The claims with ``iss`` and ``aud`` (§5.3.2). Without ``exp`` they pass for no ID token."""
        whole = told | {"iss": self._tokens.issuer, "aud": client.client_id, "iat": clock.now()}
        return self._keys.sign(SIGNED_TYP, whole, str(client.userinfo_alg))

    def _judge(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims of a token for this endpoint, and whose it is."""
        try:
            token = self._tokens.read(text)
        except jws.Rejected as rejection:
            reason = "scope_or_type" if rejection.reason == "typ" else rejection.reason
            raise invalid_token(reason) from rejection
        if "openid" not in token["scope"].split(" ") or "gid" not in token:
            description = "The access token was not issued for openid."
            raise refused("insufficient_scope", "scope_or_type", description, 403, ', scope="openid"')
        audiences = token["aud"] if isinstance(token["aud"], list) else [token["aud"]]
        if self._tokens.issuer not in audiences:
            raise invalid_token("audience")
        standing = self._tokens.standing(token)
        if standing.reason:
            raise invalid_token(standing.reason)
        return token, standing.user_id


def bearer(request: HTTPRequest) -> str:
    """The token in the header (RFC 6750 §2.1); ProtocolError when there is none, or one elsewhere too."""
    if request.body is None:
        raise refused("invalid_request", "too_large", "The body is too large.", 413)
    form = request.body if request.headers.get("content-type", "").lower().startswith(FORM) else b""
    for place in (request.query.encode("utf-8", "replace"), form):
        single, _ = parse_form(place, ())
        if "access_token" in single:
            description = "An access token belongs in the Authorization header alone."
            raise refused("invalid_request", "token_transport", description, 400)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        # RFC 6750 §3.1: no error code where there was no token
        raise ProtocolError(
            "invalid_token",
            "An access token is needed.",
            event=Event.RESOURCE_REJECTED,
            reason="token_missing",
            status=401,
            headers=[("WWW-Authenticate", REALM)],
        )
    return token
