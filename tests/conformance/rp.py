"""A client that registers itself by an initial access token, as the conformance suite's dynamic plan does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from assertions import Signer
from receiver import Receiver
from registering import call, invite, manage
from werkzeug.test import TestResponse

from .op import CALLBACK, SCOPES, Plan

HOST = "suite.example"
# what the operator lets the suite's clients have; it gives the suite an initial access token for that
POLICY: dict[str, Any] = {
    "partner": "Conformance suite",
    "scopes": frozenset(SCOPES),
    "redirect_hosts": frozenset({HOST, "example.org", "localhost"}),
}


@dataclass
class RelyingParty:
    """Registers with its keys by value, contacts and a name, and authenticates by private_key_jwt."""

    plan: Plan
    redirect_uri: str = CALLBACK
    signer: Signer = field(default_factory=Signer)

    def register(self, **members: Any) -> TestResponse:
        """What the registration endpoint says; a member that is None is left out."""
        usual = {
            "client_name": "Conformance suite",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "redirect_uris": [self.redirect_uri],
            "contacts": ["certification@suite.example"],
            "jwks": {"keys": [self.signer.public()]},
        }
        document = {name: value for name, value in (usual | members).items() if value is not None}
        world = self.plan.asking.world
        return call(world, "POST", "/register", invite(world, **POLICY), document)

    def registered(self, **members: Any) -> dict[str, Any]:
        """The client information of a client that is there, which the plan goes on as."""
        answer = self.register(**members)
        assert (answer.status_code, answer.content_type) == (201, "application/json"), answer.data
        told = dict(answer.json)
        world, client_id = self.plan.asking.world, told["client_id"]
        world.methods[client_id] = "private_key_jwt"
        world.assertions[client_id] = lambda: self.signer.assertion(world, client_id)
        self.plan.client_id, self.plan.redirect_uri, self.plan.pkce = client_id, self.redirect_uri, True
        self.plan.alg = told["id_token_signed_response_alg"]
        return told

    def refused(self, *errors: str, **members: Any) -> None:
        """The registration is answered with 400, JSON and one of ``errors``."""
        answer = self.register(**members)
        assert (answer.status_code, answer.content_type) == (400, "application/json")
        assert answer.json["error"] in errors

    def read(self, told: dict[str, Any]) -> dict[str, Any]:
        """What the client configuration endpoint says (RFC 7592 §2.1)."""
        answer = manage(self.plan.asking.world, "GET", told)
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        return dict(answer.json)


@contextmanager
def published(content: Any) -> Iterator[Receiver]:
    """An address of the suite's at which ``content`` is, as JSON."""
    with Receiver() as place:
        place.page = json.dumps(content).encode()
        place.page_headers = {"Content-Type": "application/json"}
        yield place
