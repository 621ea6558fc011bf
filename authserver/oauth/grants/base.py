"""What all grants share: the server authenticates the client, and one room mints the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.grants import BaseGrant

from ...audit import Event
from ...errors import ProtocolError
from .. import rar, scopes
from ..single_use import Kind, Presented
from ..tokens import Issuance, Minted

if TYPE_CHECKING:
    from ...clients import ClientRecord
    from ..request import ProtocolRequest
    from ..server import AuthorizationServer

SPENT = "The code or refresh token is unknown, expired, spent, ended or not this client's."


class Grant(BaseGrant):  # type: ignore[misc]
    """A grant of this server; ``server`` and ``request`` are ours."""

    server: AuthorizationServer
    request: ProtocolRequest

    def unauthorized(self, client: ClientRecord) -> ProtocolError:
        """unauthorized_client (RFC 6749 §5.2)."""
        return ProtocolError(
            "unauthorized_client",
            "This client is not registered for this grant type.",
            event=Event.TOKEN_REJECTED,
            reason="grant_not_allowed",
            client_id=client.client_id,
        )

    def invalid_details(self, reason: str) -> ProtocolError:
        """invalid_authorization_details (RFC 9396 §5)."""
        description = "authorization_details are not exactly those that a person has approved."
        return self.rejected("invalid_authorization_details", reason, description)

    def rejected(self, error: str, reason: str, description: str) -> ProtocolError:
        """An error of the token endpoint about the authenticated client's request."""
        client_id = self.request.client.client_id
        return ProtocolError(
            error, description, event=Event.TOKEN_REJECTED, reason=reason, client_id=client_id
        )

    def issue(self, issuance: Issuance) -> dict[str, Any]:
        """A token response for what was judged."""
        return self.server.tokens.issue(issuance)


class PersonGrant(Grant):
    """A grant by which a client hands in what a person's authorization gave it, once.

    Everything is judged before it is spent; spending, its successor and the audit row are one transaction.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")

    def present(self, kind: Kind, parameter: str) -> Presented:
        """What the authenticated client hands in, if it was given to this client; ProtocolError otherwise."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise self.unauthorized(client)
        text = self.request.form.get(parameter)
        if text is None:
            raise self.rejected("invalid_request", "malformed", "The code or refresh token is missing.")
        presented = self.server.single_use.find(kind, text)
        if presented is None:
            raise self.invalid_grant("grant_unknown")
        if presented.authorization.client_id != client.client_id:
            raise self.invalid_grant("grant_client_mismatch")
        return presented

    def judge(self, presented: Presented, requested: str | None) -> None:
        """It is unspent and alive, and covers what is asked for; ProtocolError otherwise."""
        if reason := self.server.single_use.refusal(presented):
            raise self.invalid_grant(reason)
        text = self.request.form.get("authorization_details")
        if text is not None and (reason := rar.fits(text, presented.authorization.authorization_details)):
            raise self.invalid_details(reason)
        self.access = scopes.within(
            self.server.scopes,
            self.request.client,
            presented.authorization,
            requested,
            self.request.resources,
        )

    def mint(self, presented: Presented) -> Minted:
        """Tokens for what was judged, an ID token among them for ``openid``; useless before ``spend``."""
        granted, access = presented.authorization, self.access
        issuance = Issuance(
            self.request.client, access.scopes, access.resource_server, self.GRANT_TYPE, granted
        )
        minted = self.server.tokens.mint(issuance)
        if "openid" in access.scopes:
            access_token = minted.response["access_token"]
            minted.response["id_token"] = self.server.id_tokens.issue(
                self.request.client, granted, presented.nonce, access_token
            )
        return minted

    def spend(self, presented: Presented, minted: Minted) -> dict[str, Any]:
        """The token response; ProtocolError if another request spent or ended it in the meantime."""
        lasts = self.request.client.check_grant_type("refresh_token") and not presented.authorization.once
        follows = self.request.form.get("refresh_token") if presented.kind == "refresh_token" else None
        successor = self.server.single_use.successor(follows) if lasts else None
        if reason := self.server.single_use.spend(presented, successor, minted):
            raise self.invalid_grant(reason)
        if successor is not None:
            minted.response["refresh_token"] = successor
        return minted.response

    def invalid_grant(self, reason: str, description: str = SPENT) -> ProtocolError:
        """invalid_grant (RFC 6749 §5.2)."""
        return self.rejected("invalid_grant", reason, description)
