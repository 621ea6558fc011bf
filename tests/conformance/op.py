"""The OpenID conformance suite's static clients, and the flow that each module of its OP plans varies.

One app serves all modules of a plan; each module has a new browser, and the time that it waits is walked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from asking import CHALLENGE, CODE, VERIFIER, Asking, decide, follow
from joserfc import jwt
from joserfc.jwk import KeySet
from plugins.app import ISSUER, Moving
from plugins.people import PASSWORD, Browser, hidden_fields
from werkzeug.test import TestResponse

from authserver.oauth.id_token import at_hash

CALLBACK = "https://suite.example/test/a/authserver/callback"
# two clients of client_secret_basic, for who uses whose refresh token, and one of client_secret_post
CLIENTS = {"first": "client_secret_basic", "second": "client_secret_basic", "post": "client_secret_post"}
SCOPES = ["openid", "profile", "email", "offline_access"]


def register(asking: Asking) -> None:
    """The operator has made the suite's clients; these plans send no PKCE."""
    for client_id, method in CLIENTS.items():
        values = {
            "client_id": client_id, "client_name": "Conformance suite", "state": "active", "tier": "gold",
            "profile": "oauth21", "token_endpoint_auth_method": method, "grant_types": CODE,
            "redirect_uris": [CALLBACK], "scopes": SCOPES, "require_pkce": False,
        }  # fmt: skip
        _, secret = asking.world.services.clients.create(values)
        asking.world.methods[client_id], asking.world.secrets[client_id] = method, str(secret)
    asking.world.services.versions.forget()


@dataclass
class Flow:
    """A token response, and the claims of its ID token, verified as a client must."""

    body: dict[str, Any]
    claims: dict[str, Any]
    header: dict[str, Any]


@dataclass
class Plan:
    """One module's run: ``mode`` is the plan's response mode, ``logins`` how often a person signed in."""

    asking: Asking
    mode: str
    time: Moving
    client_id: str = "first"
    redirect_uri: str = CALLBACK
    # of its ID tokens
    alg: str = "ES256"
    # clients that registered themselves always use it
    pkce: bool = False
    browser: Browser = field(init=False)
    logins: int = 0
    pages: list[TestResponse] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.browser = self.asking.browser()

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.asking.world.send("GET", "/.well-known/openid-configuration").json)

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """An authorization request with ``changes``; None leaves a parameter out."""
        usual: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": secrets.token_urlsafe(10),
            "nonce": secrets.token_urlsafe(10),
            "response_type": "code",
            "response_mode": "form_post" if self.mode == "form_post" else None,
        }
        if self.pkce:
            usual |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def send(self, asked: dict[str, str], method: str = "GET") -> TestResponse:
        """What the request leads to once the person has signed in and allowed it, where they are asked."""
        query = urlencode(asked)
        if method == "GET":
            response = follow(self.browser, self.browser.get(f"/authorize?{query}"))
        else:
            response = follow(self.browser, self.browser.post("/authorize", query.encode()))
        self.pages.append(response)
        if response.request.path == "/login":
            self.logins += 1
            form = {"username": "alice", "password": PASSWORD}
            response = follow(self.browser, self.browser.submit(response, "/login", **form))
        if response.request.path == "/consent":
            response = follow(self.browser, decide(self.browser, response))
        return response

    def callback(self, response: TestResponse, asked: dict[str, str]) -> dict[str, str]:
        """The authorization response, come as it was asked for, with ``state`` and the issuer."""
        if self.mode == "form_post":
            # posted, and neither a code nor an error in any URL
            assert response.status_code == 200, response.text
            assert "Location" not in response.headers
            found = hidden_fields(response.text, CALLBACK)
        else:
            assert response.status_code == 303, response.text
            begins = self.redirect_uri + ("&" if "?" in self.redirect_uri else "?")
            assert response.location.startswith(begins)
            found = dict(parse_qsl(response.location.removeprefix(begins), strict_parsing=True))
        assert found["state"] == asked["state"]
        assert found["iss"] == ISSUER
        return found

    def refused(self, **changes: str | None) -> dict[str, str]:
        """The error that the client is told."""
        asked = self.parameters(**changes)
        found = self.callback(self.send(asked), asked)
        assert set(found) == {"error", "error_description", "state", "iss"}
        return found

    def code(self, method: str = "GET", **changes: str | None) -> str:
        asked = self.parameters(**changes)
        found = self.callback(self.send(asked, method), asked)
        assert set(found) == {"code", "state", "iss"}, found
        # as many characters and bits as the suite wants to see (RFC 6749 §10.10)
        assert len(found["code"]) >= 22
        return found["code"]

    def redeem(self, code: str, **form: str) -> TestResponse:
        usual = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        if self.pkce:
            usual["code_verifier"] = VERIFIER
        return self.asking.world.post("/token", as_=self.client_id, form=usual | form)

    def flow(self, method: str = "GET", **changes: str | None) -> Flow:
        """A whole flow, every answer checked as the suite checks it."""
        nonce = changes.pop("nonce", secrets.token_urlsafe(10))
        response = self.redeem(self.code(method, nonce=nonce, **changes))
        assert response.status_code == 200, response.data
        return self.judge(response, nonce)

    def judge(self, response: TestResponse, nonce: str | None) -> Flow:
        """A token response and its ID token hold (OpenID Connect Core §3.1.3.3, §3.1.3.5, §3.1.3.7)."""
        body = dict(response.json)
        assert response.content_type == "application/json"
        assert (response.headers["Cache-Control"], response.headers["Pragma"]) == ("no-store", "no-cache")
        assert body["token_type"] == "Bearer"
        assert isinstance(body["expires_in"], int)
        keys = KeySet.import_key_set(self.asking.world.send("GET", "/jwks").json)
        token = jwt.decode(body["id_token"], keys, algorithms=[self.alg])
        claims = dict(token.claims)
        assert (claims["iss"], claims["aud"], claims.get("nonce")) == (ISSUER, self.client_id, nonce)
        assert claims["iat"] <= self.time.at < claims["exp"]
        assert claims["auth_time"] <= claims["iat"]
        assert 0 < len(claims["sub"]) <= 255
        assert claims["at_hash"] == at_hash(body["access_token"], self.alg)
        return Flow(body, claims, dict(token.header))

    def userinfo(self, flow: Flow, method: str = "GET", **more: Any) -> dict[str, Any]:
        """What UserInfo says of the person, who is that of the ID token (OpenID Connect Core §5.3.2)."""
        headers = {"Authorization": f"Bearer {flow.body['access_token']}"}
        response = self.asking.world.send(method, "/userinfo", headers=headers, **more)
        assert response.status_code == 200, response.data
        assert response.content_type == "application/json"
        assert response.json["sub"] == flow.claims["sub"]
        return dict(response.json)
