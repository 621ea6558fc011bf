"""The demo: two APIs, a merchant's client, and credentials that are random on every installation."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .services import Services

API_SCOPES = {
    "payments": ("payments:initiate", "payments:read", "refunds:create"),
    "accounts": ("accounts:read",),
}
MERCHANT = "demo-merchant"


@dataclass(frozen=True)
class Demo:
    """What the demo's file holds, and which client ids got a new secret just now."""

    content: dict[str, Any]
    fresh: frozenset[str]


def seed(services: Services, path: Path, api_port: int) -> Demo:
    """Clients and APIs of the demo exist, and ``path`` (mode 600) holds their credentials.

    A second run keeps what is there; another port moves the APIs' audiences.
    """
    known = _read(path)
    fresh: set[str] = set()
    base = f"http://127.0.0.1:{api_port}"
    servers = []
    for name, scopes in API_SCOPES.items():
        client_id = f"{name}-api"
        audience = f"{base}/{name}"
        secret = _client(services, client_id, _values(client_id, f"Demo {name} API", (), ()), known, fresh)
        _resource_server(services, client_id, name, audience, scopes)
        servers.append({"client_id": client_id, "client_secret": secret, "audience": audience, "name": name})
    merchant = _values(MERCHANT, "Demo merchant", ("client_credentials",), API_SCOPES["payments"])
    secret = _client(services, MERCHANT, merchant, known, fresh)
    clients = [
        {
            "client_id": MERCHANT,
            "client_secret": secret,
            "auth_method": merchant["token_endpoint_auth_method"],
            "redirect_uris": merchant["redirect_uris"],
            "grant_types": merchant["grant_types"],
            "scopes": merchant["scopes"],
            "profile": merchant["profile"],
        }
    ]
    content = {"issuer": services.settings.issuer, "clients": clients, "resource_servers": servers}
    _write(path, content)
    return Demo(content, frozenset(fresh))


def _values(client_id: str, name: str, grants: tuple[str, ...], scopes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_name": name,
        "state": "active",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": list(grants),
        "redirect_uris": [],
        "scopes": list(scopes),
        "profile": "oauth21",
        "tier": "gold",
    }


def _client(
    services: Services, client_id: str, values: dict[str, Any], known: dict[str, str], fresh: set[str]
) -> str:
    if services.clients.get(client_id) is None:
        _, secret = services.clients.create(values)
        fresh.add(client_id)
        return str(secret)
    if client_id in known and services.clients.holds(client_id, known[client_id]):
        return known[client_id]
    fresh.add(client_id)
    return services.clients.rotate_secret(client_id)


def _resource_server(
    services: Services, client_id: str, name: str, audience: str, scopes: tuple[str, ...]
) -> None:
    there = {api.name: api for api in services.scopes.resource_servers()}
    if name not in there:
        services.clients.register_resource_server(client_id, audience, name)
    elif there[name].audience != audience:
        services.clients.move_resource_server(client_id, audience)
    services.versions.forget()
    catalogue = services.scopes.all()
    for scope in scopes:
        if scope in catalogue and catalogue[scope].audience != audience:
            services.scopes.describe(scope, catalogue[scope].description, audience)


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text("utf-8"))
        entries = [*content["clients"], *content["resource_servers"]]
        return {entry["client_id"]: entry["client_secret"] for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Written whole or not at all, never readable by others."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.chmod(0o600)
    draft.replace(path)
