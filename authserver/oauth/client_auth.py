"""Client authentication (RFC 6749 §2.3): exactly one method, and the one the client is registered with.

Unknown client, wrong secret, wrong method and suspended client get one answer; why is for the audit log.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ..audit import Event
from ..clients import ClientRecord, Clients, SecretHasher
from ..errors import ProtocolError
from .request import ProtocolRequest

CHALLENGE = ("WWW-Authenticate", 'Basic realm="authserver"')
MAX_SECRET = 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request presents: the client it names, by which method, and the secret if there is one."""

    client_id: str
    method: str
    secret: str = ""


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


def read(request: ProtocolRequest) -> Credentials:
    """The one set of credentials in ``request``; ProtocolError when there is none, or two, or junk."""
    header = request.headers.get("authorization")
    form = request.form
    if "client_assertion" in form or "client_assertion_type" in form:
        raise failure("assertion_type", form.get("client_id", ""))
    if header is None:
        client_id = form.get("client_id", "")
        if "client_secret" in form:
            if not client_id:
                raise failure("missing_credentials")
            return Credentials(client_id, "client_secret_post", form["client_secret"])
        if client_id:
            return Credentials(client_id, "none")
        raise failure("missing_credentials")
    if "client_secret" in form:
        raise ProtocolError(
            "invalid_request",
            "Use one client authentication method.",
            event=Event.CLIENT_AUTH_FAILED,
            reason="multiple_methods",
            client_id=form.get("client_id", ""),
        )
    credentials = _basic(header)
    if form.get("client_id", credentials.client_id) != credentials.client_id:
        raise failure("client_id_mismatch", credentials.client_id)
    return credentials


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

    def __init__(self, clients: Clients, hasher: SecretHasher) -> None:
        self._clients = clients
        self._hasher = hasher

    def authenticate(self, credentials: Credentials, methods: Collection[str]) -> ClientRecord:
        """The active client that ``credentials`` prove; ProtocolError invalid_client otherwise."""
        client_id = credentials.client_id
        if len(credentials.secret) > MAX_SECRET:
            raise failure("too_long", client_id)
        # before anything is looked up: a guess takes the same path whether there is such a client or not
        if credentials.method != "none" and not self._hasher.screen(client_id, credentials.secret):
            raise failure("bad_credentials", client_id)
        client = self._clients.get(client_id)
        if credentials.method == "none":
            self._judge_public(client, client_id)
        elif not self._hasher.verify(client_id, client, credentials.secret):
            raise failure("bad_credentials", client_id)
        registered = client.token_endpoint_auth_method if client is not None else None
        if client is None or registered != credentials.method or credentials.method not in methods:
            raise failure("method", client_id)
        if not client.active:
            raise failure("client_disabled", client_id)
        return client

    @staticmethod
    def _judge_public(client: ClientRecord | None, client_id: str) -> None:
        if client is None:
            raise failure("unknown_client", client_id)
        if client.token_endpoint_auth_method != "none":  # noqa: S105 - a method
            # RFC 6749 §3.2.1: a confidential client must authenticate, naming itself is not enough
            raise failure("missing_credentials", client_id)
