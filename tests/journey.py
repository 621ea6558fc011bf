"""A person who has allowed clients something: codes made as the consent page makes them, and their use.

Clients: ``shop`` and ``rival`` are confidential, ``spa`` is public, ``once`` has no refresh tokens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from plugins.app import ACCOUNTS, PAYMENTS, World
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from authserver import crypto
from authserver.cache import raise_version
from authserver.db import table_of
from authserver.models.authorization import Authorization, AuthorizationCode
from authserver.models.grant import Grant
from authserver.models.token import RefreshToken
from authserver.models.user import User
from authserver.oauth import pkce
from authserver.oauth.authorization_request import AuthorizationRequest

CALLBACK = "https://client.example/cb"
VERIFIER = "v" * 43
OTHER_VERIFIER = "w" * 43
SCOPES = ("openid", "profile", "email", "offline_access", "accounts:read", "payments:initiate")
PAYMENT = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "12.30", "currency": "EUR"},
    "creditorName": "Corner shop",
}
CLIENTS = {
    "shop": ("client_secret_basic", ["authorization_code", "refresh_token"]),
    "rival": ("client_secret_basic", ["authorization_code", "refresh_token"]),
    "spa": ("none", ["authorization_code", "refresh_token"]),
    "once": ("client_secret_basic", ["authorization_code"]),
}


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    return dict(json.loads(crypto.b64u_decode(token.split(".")[1])))


def header_of(token: str) -> dict[str, Any]:
    return dict(json.loads(crypto.b64u_decode(token.split(".", 1)[0])))


@dataclass
class Journey:
    """One person, logged in once, and what they allowed."""

    world: World
    user_id: str = ""
    session: Any = None
    grants: dict[str, str] = field(default_factory=dict)

    def prepare(self, name: str = "alice", clients: dict[str, Any] | None = None) -> Journey:
        """Clients and the person exist; the person is logged in."""
        services = self.world.services
        for client_id, (method, grants) in (CLIENTS if clients is None else clients).items():
            values = {
                "client_id": client_id,
                "client_name": client_id,
                "state": "active",
                "token_endpoint_auth_method": method,
                "grant_types": grants,
                "redirect_uris": [CALLBACK],
                "scopes": list(SCOPES),
                "profile": "oauth21",
                "tier": "gold",
            }
            _, secret = services.clients.create(values)
            self.world.methods[client_id] = method
            if secret:
                self.world.secrets[client_id] = secret
        self.user_id = services.users.create(name, f"{name}@example.com", name.capitalize()).user_id
        self.set_user("active")
        self.log_in()
        return self

    def set_user(self, state: str) -> None:
        """The person's row alone says so: nothing else is told."""
        users = table_of(User)
        with self.world.services.database.writing() as connection:
            version = raise_version(connection, "users")
            values = {"state": state, "version": version}
            connection.execute(update(users).where(users.c.user_id == self.user_id).values(values))
        self.world.services.versions.forget()

    def log_in(self) -> None:
        """A new session in a new browser."""
        sessions = self.world.services.sessions
        cookie = sessions.start(self.user_id, acr="urn:authserver:acr:password", amr=("pwd",))
        self.session = sessions.read(cookie)
        assert self.session is not None

    def consent(self, client_id: str) -> str:
        """The grant under which the person's authorizations of the client stand."""
        if client_id not in self.grants:
            grant_id = self.grants[client_id] = crypto.random_token(128)
            row = {
                "grant_id": grant_id, "user_id": self.user_id, "client_id": client_id, "scopes": list(SCOPES),
                "created_at": 1, "updated_at": 1,
            }  # fmt: skip
            with self.world.services.database.writing() as connection:
                connection.execute(table_of(Grant).insert().values(row))
        return self.grants[client_id]

    def code(
        self,
        client_id: str = "shop",
        scope: str = "openid offline_access accounts:read",
        details: list[dict[str, Any]] | None = None,
        **values: Any,
    ) -> str:
        """A code, as the consent page gives it."""
        scopes = tuple(scope.split())
        api = [PAYMENTS] if "payments:initiate" in scopes else [ACCOUNTS] if "accounts:read" in scopes else []
        issuer = [self.world.services.settings.issuer] if "openid" in scopes else []
        given = {
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "scopes": scopes,
            "audience": (*api, *issuer),
            "nonce": "N1",
            "code_challenge": pkce.s256(VERIFIER),
        }
        request = AuthorizationRequest(**(given | values))
        grant_id = self.consent(client_id)
        with self.world.services.database.writing() as connection:
            complete = self.world.services.authorizations.complete_in
            return complete(connection, request, self.session, grant_id, details).code

    def redeem(self, code: str | None, as_: str = "shop", **form: str | None) -> TestResponse:
        """The client hands in a code; None leaves a parameter out."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.world.post("/token", as_=as_, form=_given(usual | form))

    def refresh(self, token: str | None, as_: str = "shop", **form: str | None) -> TestResponse:
        """The client hands in a refresh token."""
        usual: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": token}
        return self.world.post("/token", as_=as_, form=_given(usual | form))

    def tokens(self, client_id: str = "shop", **values: Any) -> dict[str, Any]:
        """A token response for a new code."""
        response = self.redeem(self.code(client_id, **values), as_=client_id)
        assert response.status_code == 200, response.data
        return dict(response.json)

    def active(self, access_token: str) -> bool:
        """What its API is told about an access token."""
        audience = claims_of(access_token)["aud"]
        api = "rs_payments" if PAYMENTS in audience else "rs_accounts"
        return bool(self.world.post("/introspect", as_=api, form={"token": access_token}).json["active"])

    def userinfo(self, access_token: str, method: str = "GET", **arguments: Any) -> TestResponse:
        """What the UserInfo endpoint says."""
        headers = {"Authorization": f"Bearer {access_token}"} | arguments.pop("headers", {})
        return self.world.send(method, "/userinfo", headers=headers, **arguments)

    def rows(self) -> SimpleNamespace:
        """How many authorizations, codes and refresh tokens rest in the database."""
        models = {"authorizations": Authorization, "codes": AuthorizationCode, "refresh_tokens": RefreshToken}
        with self.world.services.database.reading() as connection:
            count = {
                name: connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()
                for name, model in models.items()
            }
        return SimpleNamespace(**count)

    def reasons(self, event: str) -> list[str]:
        """The reasons of all rows of an event."""
        return [row["reason"] for row in self.world.events(event)]


def _given(form: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in form.items() if value is not None}


def refused(response: TestResponse, error: str = "invalid_grant", status: int = 400) -> bool:
    """Whether it is this OAuth error, and nothing else is in it."""
    body = response.json
    return (
        response.status_code == status
        and body["error"] == error
        and set(body) == {"error", "error_description"}
        and response.headers["Cache-Control"] == "no-store"
    )
