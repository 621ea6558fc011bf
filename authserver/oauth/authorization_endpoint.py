"""The authorization endpoint (RFC 6749 §3.1): admits a request, judges it, and says who is told of a refusal.

Until ``redirect_uri`` has passed, a refusal is a page; after it, the client is told.
"""

from __future__ import annotations

import json

from ..audit import Audit, Entry, Event
from ..errors import ProtocolError
from ..throttle import Limit, Throttle
from . import authorization_parameters
from .authorization_checks import CHECKS
from .authorization_parameters import too_large
from .authorization_request import ENDPOINT, AuthorizationRequest, Draft, Rooms
from .request import HTTPRequest
from .response_mode import Target

# of the row in which a request waits for its person
MAX_STORED = 4096


class Refused(Exception):
    """A request that is answered with ``error``: to ``target``, or by a page when there is none."""

    def __init__(self, error: ProtocolError, target: Target | None) -> None:
        super().__init__(error.reason)
        self.error = error
        self.target = target


class AuthorizationEndpoint:
    """Judges what arrives at the authorization endpoint."""

    def __init__(self, rooms: Rooms, throttle: Throttle, audit: Audit) -> None:
        self._rooms = rooms
        self._throttle = throttle
        self._audit = audit
        self._limit = Limit.parse(rooms.settings.limit_authorize_address)

    def open(self, incoming: HTTPRequest) -> AuthorizationRequest:
        """The request in ``incoming``; Refused, with its audit row written, when it does not hold."""
        draft: Draft | None = None
        try:
            self._admit(incoming)
            draft = Draft(ENDPOINT, authorization_parameters.parse(incoming))
            return self.judge(draft)
        except ProtocolError as error:
            if error.event:
                self._audit.record(Entry(Event(error.event), "denied", error.reason, error.client_id))
                self._throttle.failed(ENDPOINT, incoming.address)
            sized = error.reason == "request_too_large"
            raise Refused(error, None if draft is None or sized else draft.target) from error

    def judge(self, draft: Draft) -> AuthorizationRequest:
        """The request, once every check of its endpoint has passed; ProtocolError of the first that fails."""
        for check in CHECKS:
            if draft.endpoint in check.endpoints:
                check.judge(draft, self._rooms)
        target = draft.target
        assert target is not None
        request = AuthorizationRequest(
            client_id=draft.client.client_id,
            redirect_uri=target.redirect_uri,
            response_mode=target.response_mode,
            state=target.state,
            **draft.values,
        )
        if len(json.dumps(request.to_json())) > MAX_STORED:
            raise too_large(draft.client.client_id)
        return request

    def _admit(self, incoming: HTTPRequest) -> None:
        self._throttle.before(ENDPOINT, incoming.address)
        if not self._throttle.take(self._limit, ENDPOINT, incoming.address):
            reason = f"{ENDPOINT}_ip"
            self._throttle.refuse(self._limit, reason, incoming.address)
            raise ProtocolError(
                "temporarily_unavailable",
                "Too many requests. Wait as long as Retry-After says.",
                event="",
                reason=reason,
                status=429,
                headers=[("Retry-After", str(self._limit.seconds))],
            )
