"""One running server, the clients that foreign libraries play, and alice, who allows them something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fleet import Fleet
from plugins.people import add_user

CALLBACK = "https://client.example/cb"
# registered without a port: a native client listens on whichever is free (RFC 8252 §7.3)
LOOPBACK = "http://127.0.0.1/cb"
SCOPES = ["openid", "profile", "email", "offline_access", "accounts:read", "payments:initiate"]
CLIENTS: dict[str, dict[str, Any]] = {
    "shop-basic": {"token_endpoint_auth_method": "client_secret_basic"},
    "shop-post": {"token_endpoint_auth_method": "client_secret_post"},
    "native": {
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "redirect_uris": [LOOPBACK],
    },
}


@pytest.fixture(scope="package")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("interop")
    fleet = Fleet(directory, f"sqlite:///{directory / 'authserver.db'}", workers=1)
    clients = fleet.services.clients
    for client_id, special in CLIENTS.items():
        values = {
            "client_id": client_id,
            "client_name": client_id,
            "state": "active",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [CALLBACK],
            "authorization_details_types": ["payment_initiation"],
            "scopes": SCOPES,
            "profile": "oauth21",
            "tier": "gold",
        } | special
        _, secret = clients.create(values)
        fleet.world.secrets[client_id] = secret or ""
    add_user(fleet.services, "alice")
    with fleet:
        yield fleet
