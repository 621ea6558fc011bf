"""The refresh token grant (RFC 6749 §6): every use gives a new one, a spent one ends the family."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibGrant

from ...clients.record import PUBLIC
from ..single_use import Presented
from .base import PersonGrant


class RefreshTokenGrant(PersonGrant, AuthlibGrant):  # type: ignore[misc]
    """New tokens under an authorization. The scope may be narrowed for the access token alone."""

    def validate_token_request(self) -> None:
        """The refresh token is this client's, unspent, alive, and covers what is asked for."""
        token = self.present("refresh_token", "refresh_token")
        self.judge(token, self.request.payload.scope)
        client = self.request.client
        if client.token_endpoint_auth_method in PUBLIC:
            # its calls come from where the person is: unlike them, the person signs in anew
            user_id, address = token.authorization.user_id, self.request.address
            if reason := self.server.elsewhere(user_id, client.client_id, address):
                raise self.invalid_grant(reason)
        self.request.refresh_token = token

    def authenticate_user(self, refresh_token: Presented) -> str:
        """The person's id; that they may have tokens was judged with the refresh token."""
        return refresh_token.authorization.user_id

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """The token response, its refresh token spent and succeeded."""
        token: Presented = self.request.refresh_token
        return self.spend(token, self.mint(token))

    def revoke_old_credential(self, refresh_token: Presented) -> None:
        """A spent one stays as long as its authorization does, to be known when it comes again."""
