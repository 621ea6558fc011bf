"""Token introspection (RFC 7662) for authenticated resource servers, each about its own audience alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc7662 import IntrospectionEndpoint as AuthlibEndpoint

from .. import jws
from ..audit import Entry, Event
from ..clients import ClientRecord
from ..errors import ProtocolError
from . import reference_tokens
from .request import ProtocolRequest

if TYPE_CHECKING:
    from .server import AuthorizationServer

# RFC 7662 §2.2 names; what else a token says is no business of the endpoint
MEMBERS = (
    "scope", "client_id", "exp", "iat", "sub", "aud", "iss", "jti", "gid", "acr", "amr",
    "auth_time", "authorization_details", "cnf",
)  # fmt: skip


def missing_token(client: ClientRecord) -> ProtocolError:
    """invalid_request where ``token`` is required (RFC 7662 §2.1, RFC 7009 §2.1)."""
    return ProtocolError(
        "invalid_request",
        "token is missing.",
        event=Event.HTTP_REJECTED,
        reason="token_missing",
        client_id=client.client_id,
    )


class IntrospectionEndpoint(AuthlibEndpoint):  # type: ignore[misc]
    """POST /introspect. The hint never changes the result (RFC 7662 §2.1)."""

    ENDPOINT_NAME = "introspect"
    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
    server: AuthorizationServer

    def check_params(self, request: ProtocolRequest, client: ClientRecord) -> None:
        """``token`` is there."""
        if "token" not in request.form:
            raise missing_token(client)

    def authenticate_token(self, request: ProtocolRequest, client: ClientRecord) -> dict[str, Any] | None:
        """The claims of a token that is active for this resource server, else None; audited either way."""
        self.check_params(request, client)
        claims, reason = self._judge(request.form["token"], client)
        event = Event.INTROSPECTION_DENIED if reason else Event.INTROSPECTION_OK
        detail = {"jti": claims["jti"]} if claims else {}
        entry = Entry(event, "denied" if reason else "succeeded", reason, client.client_id, detail=detail)
        self.server.audit.record(entry)
        return None if reason else claims

    def _judge(self, text: str, client: ClientRecord) -> tuple[dict[str, Any] | None, str]:
        if client.audience is None:
            return None, "not_resource_server"
        try:
            claims = self.server.tokens.read(text)
        except jws.Rejected as rejection:
            if rejection.reason != reference_tokens.UNKNOWN:
                entry = Entry(Event.JWT_REJECTED, "denied", rejection.reason, client.client_id)
                self.server.audit.record(entry)
            return None, rejection.reason
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if client.audience not in audiences:
            return claims, "audience"
        return claims, self.server.tokens.standing(claims).reason

    def create_introspection_payload(self, token: dict[str, Any] | None) -> dict[str, Any]:
        """RFC 7662 §2.2: an inactive token tells nothing but that."""
        if token is None:
            return {"active": False}
        return {"active": True, "token_type": "Bearer"} | {m: token[m] for m in MEMBERS if m in token}
