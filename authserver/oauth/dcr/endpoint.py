"""POST /register, and what a client may do with its own registration (RFC 7591 §3, RFC 7592 §2).

Nothing is fetched here but a sector_identifier_uri. Every token that is not good gets one answer; why is for
the audit log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...clients import Changed, Clients, Registration, Registrations, Scopes, Spent
from ...config import Settings
from ...errors import Invalid, ProtocolError
from ...keys import KeyStore, Rotation
from ...outgoing import Outgoing
from ...partners import Invitation, Partners, Policy
from ...throttle import Limit, Throttle
from ..request import HTTPRequest, rejected
from . import document, metadata
from .refusals import changed_meanwhile, invalid_token, outside, refused, suspended
from .rules import Rules

ENDPOINT = "register"
INITIAL, OWN = "initial_access_token", "registration_access_token"
# RFC 6750 §2.1
_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
# of clients that were registered here
_CLIENT_ID = re.compile(r"[0-9a-f]{32}")
# RFC 7592 §2.2: what an update must not include
READ_ONLY = (OWN, "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")

Told = tuple[int, dict[str, Any] | None]


@dataclass(frozen=True)
class Rooms:
    """What the endpoint works with."""

    settings: Settings
    partners: Partners
    clients: Clients
    registrations: Registrations
    scopes: Scopes
    keys: KeyStore
    rotation: Rotation
    outgoing: Outgoing
    throttle: Throttle


class RegistrationEndpoint:
    """Answers with a status and a body; refuses with ProtocolError."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._limit = Limit.parse(rooms.settings.limit_register)

    def create(self, request: HTTPRequest) -> Told:
        """201 and the client information (RFC 7591 §3.2.1), its secret and token told only now."""
        self._admit(request)
        invitation = self._invited(request)
        policy = invitation.policy
        rules = self._rules(policy, policy.scopes)
        try:
            values, described = metadata.judge(document.read(request), rules)
        except ProtocolError as error:
            error.detail = {"token_id": invitation.token_id}
            raise
        self._ensure_keys(values)
        try:
            registration, token, secret = self._rooms.registrations.add(invitation, values, described)
        except Spent:
            raise invalid_token(INITIAL) from None
        except Invalid:
            raise refused("metadata") from None
        return 201, self._told(registration, token, secret)

    def read(self, request: HTTPRequest, client_id: str) -> Told:
        """200 and the client information (RFC 7592 §2.1)."""
        registration, token = self._own(request, client_id)
        self._rooms.registrations.was_read(registration)
        return 200, self._told(registration, token)

    def update(self, request: HTTPRequest, client_id: str) -> Told:
        """200 and the client information, all of it replaced (RFC 7592 §2.2)."""
        registration, token = self._own(request, client_id)
        policy = self._rooms.partners.policy(registration.token_id)
        rules = self._rules(policy, frozenset(registration.values["scopes"]), registration.values)
        try:
            given = document.read(request)
            self._judge_identity(given, registration)
            values, described = metadata.judge(given, rules)
        except ProtocolError as error:
            error.client_id = client_id
            raise
        self._ensure_keys(values)
        try:
            changed, secret = self._rooms.registrations.replace(registration, values, described)
        except Spent:
            raise invalid_token(OWN, client_id) from None
        except Changed:
            raise changed_meanwhile(client_id) from None
        except Invalid:
            raise refused("metadata", client_id) from None
        return 200, self._told(changed, token, secret)

    def delete(self, request: HTTPRequest, client_id: str) -> Told:
        """204: the client and all that it was granted are gone (RFC 7592 §2.3)."""
        registration, _ = self._own(request, client_id)
        try:
            self._rooms.registrations.delete(registration)
        except Spent:
            raise invalid_token(OWN, client_id) from None
        return 204, None

    # --- who asks -------------------------------------------------------------------------------------

    def _admit(self, request: HTTPRequest) -> None:
        if request.query:
            raise rejected("method_or_parameter", "Parameters belong in the request body.")
        self._count(ENDPOINT, request.address, request.address)

    def _count(self, name: str, place: str | None, address: str) -> None:
        """One more of ``name`` is within the limit; ProtocolError 429 otherwise."""
        throttle, limit = self._rooms.throttle, self._limit
        if throttle.take(limit, name, place):
            return
        throttle.refuse(limit, ENDPOINT, address)
        raise ProtocolError(
            "temporarily_unavailable",
            "Too many requests. Wait as long as Retry-After says.",
            event="",
            reason=ENDPOINT,
            status=429,
            headers=[("Retry-After", str(limit.seconds))],
        )

    def _invited(self, request: HTTPRequest) -> Invitation:
        invitation = self._rooms.partners.find(_bearer(request, INITIAL))
        if invitation is None:
            raise invalid_token(INITIAL)
        self._count(f"{ENDPOINT}/{invitation.token_id}", None, request.address)
        return invitation

    def _own(self, request: HTTPRequest, client_id: str) -> tuple[Registration, str]:
        """The registration that the request's token is for, and that token."""
        self._admit(request)
        named = client_id if _CLIENT_ID.fullmatch(client_id) else ""
        token = _bearer(request, OWN, named)
        registration = self._rooms.registrations.find(named, token)
        if registration is None:
            raise invalid_token(OWN, named)
        if not registration.allowlist.allows(request.address):
            raise outside(named)
        if registration.state == "suspended":
            raise suspended(named)
        return registration, token

    # --- what is asked --------------------------------------------------------------------------------

    def _rules(self, policy: Policy, scopes: frozenset[str], before: dict[str, Any] | None = None) -> Rules:
        return Rules(policy, frozenset(self._rooms.scopes.all()), scopes, self._rooms.outgoing, before)

    def _judge_identity(self, given: dict[str, Any], registration: Registration) -> None:
        """RFC 7592 §2.2: the client names itself, and nothing that the server alone sets."""
        client_id = registration.client_id
        if any(name in given for name in READ_ONLY):
            raise refused("read_only", client_id)
        if given.get("client_id") != client_id:
            raise refused("client_id", client_id)
        if "client_secret" in given:
            secret = given["client_secret"]
            if not isinstance(secret, str) or not self._rooms.clients.holds(client_id, secret):
                raise refused("client_secret", client_id)

    def _ensure_keys(self, values: dict[str, Any]) -> None:
        """There are keys that sign what the client is told; made when it is the first to ask for one."""
        active = {key.alg for key in self._rooms.keys.published() if key.state == "active"}
        for alg in {values["id_token_alg"], values["userinfo_alg"] or values["id_token_alg"]} - active:
            self._rooms.rotation.ensure(alg)

    # --- what is told ---------------------------------------------------------------------------------

    def _told(self, registration: Registration, token: str, secret: str | None = None) -> dict[str, Any]:
        """RFC 7591 §3.2.1 and RFC 7592 §3. A secret is told when it is new; the token is the one sent."""
        told: dict[str, Any] = {
            "client_id": registration.client_id,
            "client_id_issued_at": registration.registered_at,
            "registration_client_uri": f"{self._rooms.settings.issuer}/register/{registration.client_id}",
            OWN: token,
        }
        if secret is not None:
            told |= {"client_secret": secret, "client_secret_expires_at": 0}
        return told | metadata.tell(registration.values, registration.described)


def _bearer(request: HTTPRequest, reason: str, client_id: str = "") -> str:
    """The token in the Authorization header; ProtocolError 401 when there is none that can be read."""
    found = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise invalid_token(reason, client_id)
    return found[1]
