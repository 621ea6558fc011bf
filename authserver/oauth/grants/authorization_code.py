"""The authorization code grant at the token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.6)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibGrant

from .. import pkce
from ..single_use import Presented
from .base import PersonGrant


class AuthorizationCodeGrant(PersonGrant, AuthlibGrant):  # type: ignore[misc]
    """Tokens for a code. Client, redirect URI and verifier are judged before the code is spent.

    A spent code in an otherwise valid request ends its authorization, however late it comes.
    """

    def validate_token_request(self) -> None:
        """The code is this client's, unspent, in time, and comes with what it is bound to."""
        code = self.present("authorization_code", "code")
        self._judge_redirect_uri(code)
        if reason := pkce.refusal(code.code_challenge, self.request.form.get("code_verifier")):
            raise self.invalid_grant(reason, "code_verifier is missing or does not fit the code challenge.")
        if code.code_challenge is None and self.request.client.require_pkce:
            raise self.invalid_grant("pkce_verifier_missing", "This client must use PKCE.")
        self.judge(code, None)
        self.request.authorization_code = code

    def authenticate_user(self, authorization_code: Presented) -> str:
        """The person's id; that they may have tokens was judged with the code."""
        return authorization_code.authorization.user_id

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """The token response, its code spent."""
        code: Presented = self.request.authorization_code
        return self.spend(code, self.mint(code))

    def delete_authorization_code(self, authorization_code: Presented) -> None:
        """A spent code stays as long as its authorization does, to be known when it comes again."""

    def _judge_redirect_uri(self, code: Presented) -> None:
        given = self.request.payload.redirect_uri
        expected = (code.redirect_uri,) if code.redirect_uri else (None, *self.request.client.redirect_uris)
        if given not in expected:
            raise self.invalid_grant(
                "redirect_uri_mismatch",
                "redirect_uri must be the one of the authorization request.",
            )
