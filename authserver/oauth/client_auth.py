"""Client authentication (RFC 6749 §2.3): exactly one method, and the one the client is registered with.

Unknown client, wrong secret, wrong method and suspended client get one answer; why is for the audit log.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .. import jws
from ..audit import Event
from ..clients import ClientRecord, Clients, SecretHasher
from ..errors import ProtocolError
from . import private_key_jwt
from .private_key_jwt import PrivateKeyJwt
from .request import ProtocolRequest

CHALLENGE = ("WWW-Authenticate", 'Basic realm="authserver"')
MAX_SECRET = 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents: the client it names, by which method, and the secret or assertion if any."""

    client_id: str
    method: str
    secret: str = ""
    assertion: jws.Unverified | None = None


def failure(reason: str, client_id: str = "") -> ProtocolError:
    """invalid_client (RFC 6749 §5.2), the same for every reason."""
    return ProtocolError(
        "invalid_client",
        "Client authentication failed.",
        event=Event.CLIENT_AUTH_FAILED,
        reason=reason,
        status=401,
        headers=[CHALLENGE],
        client_id=client_id,
    )


def judge_address(client: ClientRecord, address: str) -> None:
    """The client may call from ``address``; ProtocolError 403 otherwise, once it has proved itself."""
    if not client.allowlist.allows(address):
        raise ProtocolError(
            "access_denied",
            "This client may not call from this network.",
            event=Event.CLIENT_IP_REJECTED,
            reason="ip_not_allowed",
            status=403,
            client_id=client.client_id,
        )


def read(request: ProtocolRequest) -> Credentials:
    """The one set of credentials in ``request``; ProtocolError when there is none, or two, or junk."""
    header, form = request.headers.get("authorization"), request.form
    named = form.get("client_id", "")
    asserted = "client_assertion" in form or "client_assertion_type" in form
    if (header is not None) + ("client_secret" in form) + asserted > 1:
        # RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
        raise ProtocolError(
            "invalid_request",
            "Use one client authentication method.",
            event=Event.CLIENT_AUTH_FAILED,
            reason="multiple_methods",
            client_id=named,
        )
    if asserted:
        return _assertion(form)
    if header is None:
        if "client_secret" in form:
            if not named:
                raise failure("missing_credentials")
            return Credentials(named, "client_secret_post", form["client_secret"])
        if named:
            return Credentials(named, "none")
        raise failure("missing_credentials")
    credentials = _basic(header)
    if named not in ("", credentials.client_id):
        raise failure("client_id_mismatch", credentials.client_id)
    return credentials


def _assertion(form: Mapping[str, str]) -> Credentials:
    """RFC 7521 §4.2: the assertion with its type; a client_id beside it must be its own."""
    named = form.get("client_id", "")
    if form.get("client_assertion_type") != private_key_jwt.ASSERTION_TYPE or "client_assertion" not in form:
        raise failure("assertion_type", named)
    try:
        client_id, assertion = private_key_jwt.read(form["client_assertion"])
    except jws.Rejected as error:
        raise failure(error.reason, named) from error
    if named not in ("", client_id):
        raise failure("iss_sub", named)
    return Credentials(client_id, private_key_jwt.METHOD, assertion=assertion)


def _basic(header: str) -> Credentials:
    """RFC 7617 and RFC 6749 §2.3.1: id and secret are form-encoded before they are joined."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise failure("malformed")
    try:
        decoded = base64.b64decode(value, validate=True)
        # one spelling only: padding and stray bits included
        if base64.b64encode(decoded).decode() != value:
            raise ValueError("not canonical base64")
        client_id, colon, secret = decoded.decode("utf-8").partition(":")
        if not colon:
            raise ValueError("no colon")
        client_id, secret = _form_decode(client_id), _form_decode(secret)
    except (ValueError, binascii.Error) as error:
        raise failure("malformed") from error
    if not client_id or "\x00" in client_id + secret:
        raise failure("malformed")
    return Credentials(client_id, "client_secret_basic", secret)


def _form_decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")


class ClientAuthenticator:
    """Judges credentials against the registry."""

    def __init__(self, clients: Clients, hasher: SecretHasher, assertions: PrivateKeyJwt) -> None:
        self._clients = clients
        self._hasher = hasher
        self._assertions = assertions

    def authenticate(self, credentials: Credentials, methods: Collection[str]) -> ClientRecord:
        """The active client that ``credentials`` prove; ProtocolError invalid_client otherwise."""
        client_id, assertion = credentials.client_id, credentials.assertion
        if len(credentials.secret) > MAX_SECRET:
            raise failure("too_long", client_id)
        if assertion is not None:
            client = self._clients.get(client_id)
            self._judge_assertion(client, client_id, assertion)
        elif credentials.method == "none":
            client = self._clients.get(client_id)
            self._judge_public(client, client_id)
        else:
            client = self._holder(client_id, credentials.secret)
        registered = client.token_endpoint_auth_method if client is not None else None
        if client is None or registered != credentials.method or credentials.method not in methods:
            raise failure("method", client_id)
        if not client.active:
            raise failure("client_disabled", client_id)
        if assertion is not None and not self._assertions.spend(client, assertion):
            raise failure("jti_replay", client_id)
        return client

    def _holder(self, client_id: str, secret: str) -> ClientRecord | None:
        # before anything is looked up: a guess takes the same path whether there is such a client or not
        if not self._hasher.screen(client_id, secret):
            raise failure("bad_credentials", client_id)
        client = self._clients.get(client_id)
        if not self._hasher.verify(client_id, client, secret):
            raise failure("bad_credentials", client_id)
        return client

    def _judge_assertion(
        self, client: ClientRecord | None, client_id: str, assertion: jws.Unverified
    ) -> None:
        try:
            self._assertions.verify(client, assertion)
        except jws.Rejected as error:
            raise failure(error.reason, client_id) from error

    @staticmethod
    def _judge_public(client: ClientRecord | None, client_id: str) -> None:
        if client is None:
            raise failure("unknown_client", client_id)
        if client.token_endpoint_auth_method != "none":  # noqa: S105 - a method
            # RFC 6749 §3.2.1: a confidential client must authenticate, naming itself is not enough
            raise failure("missing_credentials", client_id)
