"""The authorization server: Authlib's dispatcher with every seam that this server fills.

``authenticate_client`` reads like the rule it is: throttle, prove, allowlist, tier.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer as AuthlibServer
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError

from .. import compact_json
from ..audit import Audit, Entry, Event
from ..clients import ClientRecord, Clients, Scopes
from ..errors import ProtocolError
from ..throttle import Throttle
from . import client_auth, request
from .client_auth import ClientAuthenticator
from .cors import Origins
from .grants.authorization_code import AuthorizationCodeGrant
from .grants.client_credentials import ClientCredentialsGrant
from .grants.refresh_token import RefreshTokenGrant
from .id_token import IdTokens
from .introspection import IntrospectionEndpoint
from .request import HTTPRequest, ProtocolRequest
from .revocation import RevocationEndpoint, Revocations
from .single_use import SingleUse
from .tokens import Tokens
from .userinfo import UserInfo

JSON_HEADERS = [
    ("Content-Type", "application/json"),
    # RFC 6749 §5.1: both, in every answer that could hold a token
    ("Cache-Control", "no-store"),
    ("Pragma", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
]


# why a public client may not refresh a person's tokens from an address; empty if it may:
# (user id, client id, address)
Elsewhere = Callable[[str, str, str], str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before the web layer makes it one."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]


class AuthorizationServer(AuthlibServer):  # type: ignore[misc]
    """One issuer."""

    def __init__(  # noqa: PLR0913, PLR0917 - the rooms that meet here
        self,
        clients: Clients,
        authenticator: ClientAuthenticator,
        scopes: Scopes,
        throttle: Throttle,
        tokens: Tokens,
        id_tokens: IdTokens,
        single_use: SingleUse,
        revocations: Revocations,
        userinfo: UserInfo,
        origins: Origins,
        audit: Audit,
        elsewhere: Elsewhere,
    ) -> None:
        super().__init__()
        self.clients = clients
        self.scopes = scopes
        self.tokens = tokens
        self.id_tokens = id_tokens
        self.single_use = single_use
        self.origins = origins
        self.revocations = revocations
        self.audit = audit
        self.elsewhere = elsewhere
        self._authenticator = authenticator
        self._throttle = throttle
        self._userinfo = userinfo
        self.register_grant(ClientCredentialsGrant)
        self.register_grant(AuthorizationCodeGrant)
        self.register_grant(RefreshTokenGrant)
        self.register_endpoint(IntrospectionEndpoint)
        self.register_endpoint(RevocationEndpoint)

    @property
    def grant_types(self) -> tuple[str, ...]:
        """The grant types that the token endpoint serves."""
        return tuple(grant.GRANT_TYPE for grant, _ in self._token_grants)

    def query_client(self, client_id: str) -> ClientRecord | None:
        """The client of an id, in whatever state."""
        return self.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: ProtocolRequest) -> None:
        """A token is on record before it is minted (``Tokens.issue``); there is nothing left to save."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """No step of this server hangs on a signal: what happens is called by name."""

    def create_oauth2_request(self, request: HTTPRequest | ProtocolRequest) -> ProtocolRequest:
        """The parsed request; parsing is done by ``token`` and ``endpoint`` before dispatch."""
        assert isinstance(request, ProtocolRequest)
        return request

    def create_json_request(self, request: Any) -> Any:
        """No registered endpoint reads JSON."""
        raise TypeError("no endpoint of this server reads JSON through Authlib")

    def validate_requested_scope(self, scope: str | None) -> None:
        """Scopes are judged with the client and the resource at hand (``oauth/scopes.py``)."""

    def token(self, incoming: HTTPRequest) -> Answer:
        """The answer of the token endpoint (RFC 6749 §3.2)."""
        return self._answer(incoming, self.create_token_response)

    def endpoint(self, name: str, incoming: HTTPRequest) -> Answer:
        """The answer of the endpoint registered under ``name``."""
        return self._answer(incoming, lambda parsed: self.create_endpoint_response(name, parsed))

    def userinfo(self, incoming: HTTPRequest) -> Answer:
        """The answer of the UserInfo endpoint (OpenID Connect Core §5.3)."""
        client = None
        try:
            self._throttle.before(incoming.endpoint, incoming.address)
            told, client, headers = self._userinfo.answer(incoming)
            answer = self.handle_response(200, told, None)
            answer.headers.extend(headers)
        except ProtocolError as error:
            answer = self._refused(incoming.endpoint, incoming.address, error)
        return self._to_origin(incoming, client, answer)

    def answered(self, incoming: HTTPRequest, serve: Callable[[HTTPRequest], tuple[int, Any]]) -> Answer:
        """What ``serve`` says (status and body) or its refusal, for an endpoint that is none of Authlib's."""
        try:
            self._throttle.before(incoming.endpoint, incoming.address)
            status, body = serve(incoming)
            return self.handle_response(status, body, None)
        except ProtocolError as error:
            return self._refused(incoming.endpoint, incoming.address, error)

    def preflight(self, incoming: HTTPRequest) -> Answer | None:
        """What a browser asks before a page of another origin may call an endpoint; None for a stranger."""
        origin = incoming.headers.get("origin", "")
        allowed = self.origins.preflight(incoming.endpoint, origin)
        headers = [("Content-Type", "text/plain"), ("X-Content-Type-Options", "nosniff"), *allowed]
        return Answer(204, b"", headers) if allowed else None

    def _answer(self, incoming: HTTPRequest, respond: Any) -> Answer:
        try:
            self._throttle.before(incoming.endpoint, incoming.address)
            parsed = request.parse(incoming)
        except ProtocolError as error:
            return self._to_origin(incoming, None, self._refused(incoming.endpoint, incoming.address, error))
        answer: Answer = respond(parsed)
        answer.headers.extend(parsed.response_headers)
        return self._to_origin(incoming, parsed.client, answer)

    def _to_origin(self, incoming: HTTPRequest, client: ClientRecord | None, answer: Answer) -> Answer:
        origin = incoming.headers.get("origin", "")
        answer.headers.extend(self.origins.headers(incoming.endpoint, origin, client))
        return answer

    def authenticate_client(
        self, request: ProtocolRequest, methods: Collection[str], endpoint: str = "token"
    ) -> ClientRecord:
        """The client that sent ``request``, allowed from where it is, within its tier."""
        credentials = client_auth.read(request)
        self._throttle.guessing(request.endpoint, request.address, credentials.client_id)
        client = self._authenticator.authenticate(credentials, methods)
        client_auth.judge_address(client, request.address)
        quota = self._throttle.after(request.endpoint, client.client_id, client.tier)
        request.response_headers += quota.headers()
        request.client = client
        request.auth_method = credentials.method
        return client

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """JSON, or a JWT as it is; never stored."""
        if isinstance(body, str):
            return Answer(status, body.encode(), [("Content-Type", "application/jwt"), *JSON_HEADERS[1:]])
        return Answer(status, compact_json.encode(body) if body else b"", list(JSON_HEADERS))

    def handle_error_response(self, request: ProtocolRequest, error: OAuth2Error) -> Answer:
        """The error as JSON; its cause in the audit log, its count against the address."""
        if isinstance(error, UnsupportedGrantTypeError):
            error = _unsupported_grant_type(request)
        elif not isinstance(error, ProtocolError):
            error = _foreign(error)
        return self._refused(request.endpoint, request.address, error)

    def _refused(self, endpoint: str, address: str, error: ProtocolError) -> Answer:
        if error.event:
            entry = Entry(
                Event(error.event), "denied", error.reason, client_id=error.client_id, detail=error.detail
            )
            self.audit.record(entry)
            self._throttle.failed(
                endpoint, address, error.client_id if error.error == "invalid_client" else ""
            )
        body = {"error": error.error, "error_description": error.description}
        headers = [*JSON_HEADERS, *error.headers]
        return Answer(error.status_code, compact_json.encode(body), headers)


def _foreign(error: OAuth2Error) -> ProtocolError:
    """An error of Authlib's own: its code may be told, its text may quote the caller."""
    return ProtocolError(
        str(error.error),
        "The request cannot be served.",
        event=Event.TOKEN_REJECTED,
        reason="request",
        status=error.status_code or 400,
    )


def _unsupported_grant_type(request: ProtocolRequest) -> ProtocolError:
    if not request.payload.grant_type:
        return ProtocolError(
            "invalid_request",
            "grant_type is missing.",
            event=Event.TOKEN_REJECTED,
            reason="grant_type_missing",
        )
    return ProtocolError(
        "unsupported_grant_type",
        "This grant type is not supported.",
        event=Event.TOKEN_REJECTED,
        reason="grant_type",
    )
