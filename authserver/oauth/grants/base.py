"""What all grants share: the server authenticates the client, and one room mints the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.grants import BaseGrant

from ...audit import Event
from ...errors import ProtocolError
from ..tokens import Issuance

if TYPE_CHECKING:
    from ...clients import ClientRecord
    from ..request import ProtocolRequest
    from ..server import AuthorizationServer


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
            reason="grant_type",
            client_id=client.client_id,
        )

    def issue(self, issuance: Issuance) -> dict[str, Any]:
        """A token response for what was judged."""
        return self.server.tokens.issue(issuance)
