"""The client credentials grant (RFC 6749 §4.4): a client acts for itself."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibGrant

from .. import scopes
from ..tokens import Issuance
from .base import Grant


class ClientCredentialsGrant(Grant, AuthlibGrant):  # type: ignore[misc]
    """Tokens whose subject is the client (RFC 9068 §2.2); no refresh token (RFC 6749 §4.4.3)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")

    def validate_token_request(self) -> None:
        """The client is authenticated, may use this grant, and may have what it asks for."""
        client = self.authenticate_token_endpoint_client()
        # RFC 6749 §4.4: only confidential clients
        if not client.check_grant_type(self.GRANT_TYPE) or self.request.auth_method == "none":
            raise self.unauthorized(client)
        if self.request.form.get("authorization_details") is not None:
            # a payment is what a person approves: without one there is nothing to say in detail
            raise self.invalid_details("rar_grant_not_allowed")
        self.access = scopes.resolve(
            self.server.scopes, client, self.request.payload.scope, self.request.resources
        )

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """The token response."""
        client = self.request.client
        return self.issue(Issuance(client, self.access.scopes, self.access.resource_server, self.GRANT_TYPE))
