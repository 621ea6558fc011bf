"""What partners send and get when they register clients and look after them."""

from __future__ import annotations

import json
from typing import Any

from journey import CALLBACK
from plugins.app import ISSUER, World
from werkzeug.test import TestResponse

from authserver.partners import Policy

METHODS = frozenset({"client_secret_basic", "client_secret_post", "private_key_jwt", "none"})
SCOPES = frozenset({"openid", "offline_access", "accounts:read", "payments:read"})
POLICY = Policy(
    partner="Corner shop",
    scopes=SCOPES,
    grant_types=frozenset({"authorization_code", "refresh_token", "client_credentials"}),
    auth_methods=METHODS,
    redirect_hosts=frozenset({"rp.example", "client.example", "localhost", "com.example.app:"}),
    authorization_details_types=frozenset({"payment_initiation"}),
    tier="gold",
    client_state="active",
)
CODE: dict[str, Any] = {"redirect_uris": [CALLBACK]}
OWN: dict[str, Any] = {"grant_types": ["client_credentials"], "scope": "payments:read"}


def invite(world: World, clients: int = 100, days: int = 7, **changes: Any) -> str:
    policy = Policy(**({name: getattr(POLICY, name) for name in Policy.__slots__} | changes))
    return world.services.partners.invite(policy, clients, days)[1]


def call(
    world: World, method: str, path: str, token: str | None, document: Any = None, **arguments: Any
) -> TestResponse:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {"body": b"" if document is None else body, "content_type": "application/json"} | arguments
    answer = world.send(method, path, headers=headers, **given)
    world.services.versions.forget()
    return answer


def register(world: World, document: Any = None, token: str | None = None, **changes: Any) -> TestResponse:
    if token is None:
        token = invite(world, **changes)
    return call(world, "POST", "/register", token, CODE if document is None else document)


def registered(world: World, document: Any = None, **changes: Any) -> dict[str, Any]:
    answer = register(world, document, **changes)
    assert answer.status_code == 201, answer.data
    told = dict(answer.json)
    world.methods[told["client_id"]] = told["token_endpoint_auth_method"]
    world.secrets[told["client_id"]] = told.get("client_secret", "")
    return told


def manage(
    world: World, method: str, told: dict[str, Any], document: Any = None, **arguments: Any
) -> TestResponse:
    path = told["registration_client_uri"].removeprefix(ISSUER)
    return call(world, method, path, told["registration_access_token"], document, **arguments)


def update(world: World, told: dict[str, Any], **members: Any) -> TestResponse:
    return manage(world, "PUT", told, {"client_id": told["client_id"]} | members)
