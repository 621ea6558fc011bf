"""Clients that ask, as the attack cases know them, and what their requests and answers look like.

``web1`` is confidential, ``web3`` has two redirect URIs, ``spa1`` is public, ``native1`` is an app,
``pay1`` may ask for payments, ``acct1`` for other details only, ``lax1`` needs no PKCE.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from plugins.app import ISSUER, World, populate, populated
from plugins.factors import code_for, give_apps
from plugins.people import Browser, add_user, hidden_fields
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserver.app import services_of
from authserver.db import table_of
from authserver.models.authorization import Authorization, AuthorizationCode, Interaction
from authserver.models.grant import Grant
from authserver.oauth import pkce

CALLBACK = "https://client.example/cb"
OTHER_CALLBACK = "https://second.example/cb"
VERIFIER = "v" * 43
CHALLENGE = pkce.s256(VERIFIER)
IBAN = "DE89370400440532013000"
PAYMENT: dict[str, Any] = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "123.50", "currency": "EUR"},
    "creditorName": "Merchant A",
    "creditorAccount": {"iban": IBAN},
}
CODE = ["authorization_code", "refresh_token"]
SCOPES = ["openid", "profile", "email", "offline_access", "accounts:read", "payments:initiate"]
CLIENTS: dict[str, dict[str, Any]] = {
    "shop": {"client_name": "Corner shop"},
    "shop2": {"redirect_uris": [OTHER_CALLBACK, f"{OTHER_CALLBACK}?tenant=1"]},
    "app": {
        "application_type": "native",
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://127.0.0.1/cb", "http://[::1]:1234/cb?a=1", "com.example.app:/cb"],
    },
    "pay1": {"client_name": "Merchant A", "authorization_details_types": ["payment_initiation"]},
    "acct1": {"authorization_details_types": ["account_information"]},
    "lax1": {"require_pkce": False},
    "batch": {"grant_types": ["client_credentials"]},
}


@dataclass
class Asking:
    """An app with clients that ask, and alice, who answers."""

    app: Flask
    world: World = field(init=False)
    alice: str = field(init=False)

    def __post_init__(self) -> None:
        self.world = populated(self.app, _peopled)
        alice = self.world.services.users.find("alice")
        assert alice is not None
        self.alice = alice.user_id

    def browser(self, *, logged_in: bool = False) -> Browser:
        browser = Browser(self.app)
        if logged_in:
            assert browser.log_in().status_code == 303
        return browser

    def events(self, name: str) -> list[dict[str, Any]]:
        return self.world.events(name)

    def reasons(self, event: str = "authz.rejected") -> list[str]:
        return [row["reason"] for row in self.events(event)]

    def rows(self) -> dict[str, int]:
        """How many rows there are of all that an authorization makes."""
        models = {
            "interactions": Interaction,
            "authorizations": Authorization,
            "codes": AuthorizationCode,
            "grants": Grant,
        }
        with self.world.services.database.reading() as connection:
            return {
                name: connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()
                for name, model in models.items()
            }

    def redeem(self, code: str, client_id: str = "shop", **form: str) -> TestResponse:
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.world.post("/token", as_=client_id, form=usual | form)


def _peopled(app: Flask) -> World:
    """``app`` has these clients, and alice."""
    world = populate(app)
    for client_id, special in CLIENTS.items():
        values = {
            "client_id": client_id,
            "client_name": client_id,
            "state": "active",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": CODE,
            "redirect_uris": [CALLBACK],
            "scopes": SCOPES,
            "profile": "oauth21",
            "tier": "gold",
        } | special
        _, secret = world.services.clients.create(values)
        world.methods[client_id] = values["token_endpoint_auth_method"]
        if secret:
            world.secrets[client_id] = secret
    add_user(world.services, "alice")
    return world


def parameters(client_id: str = "shop", **changes: str | None) -> dict[str, str]:
    """A valid request with ``changes``; None leaves a parameter out."""
    usual: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid accounts:read",
        "state": "S1",
        "nonce": "N1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def payment(**changes: Any) -> str:
    """authorization_details of one payment with ``changes``; None leaves a member out."""
    element = {name: value for name, value in (PAYMENT | changes).items() if value is not None}
    return json.dumps([element])


def ask(browser: Browser, client_id: str = "shop", **changes: str | None) -> TestResponse:
    """What /authorize answers; for a payment, everybody has an authenticator app to approve it with."""
    if changes.get("authorization_details"):
        give_apps(services_of(browser.app))
    return browser.get("/authorize?" + urlencode(parameters(client_id, **changes)))


def follow(browser: Browser, response: TestResponse) -> TestResponse:
    """The answer after every redirect within the server: a page, or a redirect to a client."""
    for _ in range(6):
        location = response.headers.get("Location", "")
        if response.status_code != 303 or not location.startswith("/"):
            return response
        response = browser.get(location)
    raise AssertionError("the server redirects in a circle")


def start(browser: Browser, client_id: str = "shop", **changes: str | None) -> TestResponse:
    """What a request leads to: a page, or an answer to the client."""
    return follow(browser, ask(browser, client_id, **changes))


def request_id(response: TestResponse) -> str:
    """The interaction's id in a redirect of /authorize."""
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query))["request"]


def decide(browser: Browser, page: TestResponse, decision: str = "approve", **more: str) -> TestResponse:
    """A click on the consent page; on a payment's, with the first account and a code that approves it."""
    given = more if "account" in more else _first_account(page.text) | more
    if decision == "approve" and 'name="code"' in page.text and "code" not in more:
        given["code"] = code_for(services_of(browser.app), browser.cookie("sid"))
    return browser.submit(page, "/consent", decision=decision, **given)


def answer(response: TestResponse, callback: str = CALLBACK) -> dict[str, str]:
    """The parameters of an authorization response in the query; they always name the issuer."""
    assert response.status_code == 303, (response.status_code, response.text)
    location = response.headers["Location"]
    assert location.startswith(callback + ("&" if "?" in callback else "?")), location
    found = dict(parse_qsl(location[len(callback) + 1 :], strict_parsing=True))
    assert found["iss"] == ISSUER
    return found


def posted(page: TestResponse, callback: str = CALLBACK) -> dict[str, str]:
    """The parameters of an authorization response in a form."""
    assert page.status_code == 200
    return hidden_fields(page.text, callback)


def _first_account(text: str) -> dict[str, str]:
    marker = 'name="account" value="'
    if marker not in text:
        return {}
    return {"account": text.split(marker, 1)[1].split('"', 1)[0]}


@pytest.fixture
def asking(app: Flask) -> Asking:
    return Asking(app)
