"""The demo: two APIs, their clients, two people, and credentials that are random on every installation."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import acr, clock, crypto
from .clients.metadata import AUTH_METHODS, SECRET_METHODS
from .errors import NotDone
from .login import PasswordHasher, totp
from .partners import Policy
from .services import Services

API_SCOPES = {
    "payments": ("payments:initiate", "payments:read", "refunds:create"),
    "accounts": ("accounts:read",),
}
# who has a second factor already; others set one up when they need it
WITH_APP = ("alice",)
MERCHANT, SHOP, APP = "demo-merchant", "demo-shop", "demo-app"
PEOPLE = {"alice": "Alice Adams", "bob": "Bob Brown"}
SANDBOX_CLIENTS, SANDBOX_DAYS = 1000, 365
PERSON_SCOPES = [
    "openid", "profile", "email", "offline_access", "payments:initiate", "payments:read", "accounts:read",
]  # fmt: skip
FOR_PEOPLE: dict[str, Any] = {
    "grant_types": ["authorization_code", "refresh_token"],
    "scopes": PERSON_SCOPES,
    "authorization_details_types": ["payment_initiation"],
}


@dataclass(frozen=True)
class Demo:
    """What the demo's file holds, and which client ids and user names got a new secret just now."""

    content: dict[str, Any]
    fresh: frozenset[str]


@dataclass
class _Known:
    """What the file held before, by client id and by user name, and what was made anew."""

    secrets: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    totp_secrets: dict[str, str] = field(default_factory=dict)
    initial_access_token: str = ""
    fresh: set[str] = field(default_factory=set)


def seed(services: Services, path: Path, api_port: int) -> Demo:
    """Clients, APIs and people of the demo exist, and ``path`` (mode 600) holds their credentials.

    A second run keeps what is there, sets anew what the file does not know any more, and moves audiences
    and redirect URIs to another port. Clients that ask people send them to ``demo-shop``'s callback.
    """
    known = _read(path)
    base = f"http://127.0.0.1:{api_port}"
    servers = []
    for name, scopes in API_SCOPES.items():
        client_id = f"{name}-api"
        audience = f"{base}/{name}"
        secret = _client(services, _values(client_id, f"Demo {name} API"), known)
        _resource_server(services, client_id, name, audience, scopes)
        servers.append({"client_id": client_id, "client_secret": secret, "audience": audience, "name": name})
    clients = [
        {
            "client_id": values["client_id"],
            "client_secret": _client(services, values, known),
            "auth_method": values["token_endpoint_auth_method"],
            **{n: values[n] for n in ("redirect_uris", "grant_types", "scopes", "profile")},
        }
        for values in _clients(base)
    ]
    content = {
        "issuer": services.settings.issuer,
        # what else commands beside the demo speak with
        "operator_name": services.settings.operator_name,
        "payment_sca": services.settings.payment_sca,
        "users": _people(services, known),
        "operators": [],
        "partners": [],
        "clients": clients,
        "initial_access_token": _initial_access_token(services, known),
        "resource_servers": servers,
    }
    _write(path, content)
    return Demo(content, frozenset(known.fresh))


def _clients(base: str) -> tuple[dict[str, Any], ...]:
    """A machine's client, a web shop, and an app on somebody's own device (RFC 8252), in this order."""
    machine = {"grant_types": ["client_credentials"], "scopes": list(API_SCOPES["payments"])}
    native = {"application_type": "native", "token_endpoint_auth_method": "none"}
    return (
        _values(MERCHANT, "Demo merchant") | machine,
        _values(SHOP, "Corner Shop") | FOR_PEOPLE | {"redirect_uris": [f"{base}/shop/callback"]},
        _values(APP, "Demo app") | FOR_PEOPLE | native | {"redirect_uris": ["http://127.0.0.1/callback"]},
    )


def _values(client_id: str, name: str) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_name": name,
        "state": "active",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": [],
        "redirect_uris": [],
        "scopes": [],
        "profile": "oauth21",
        "tier": "gold",
    }


def _client(services: Services, values: dict[str, Any], known: _Known) -> str | None:
    """The client's secret, kept or new; None for a public client."""
    client_id = values["client_id"]
    there = services.clients.get(client_id)
    if there is None:
        _, secret = services.clients.create(values)
        if secret is not None:
            known.fresh.add(client_id)
        return secret
    if list(there.redirect_uris) != values["redirect_uris"]:
        services.clients.set_redirect_uris(client_id, values["redirect_uris"])
    if there.token_endpoint_auth_method not in SECRET_METHODS:
        return None
    held = known.secrets.get(client_id)
    if held is not None and services.clients.holds(client_id, held):
        return held
    known.fresh.add(client_id)
    return services.clients.rotate_secret(client_id)


def _people(services: Services, known: _Known) -> list[dict[str, Any]]:
    hasher = PasswordHasher(services.settings)
    return [
        {
            "username": username,
            "password": _password(services, hasher, username, known),
            "totp_secret": _totp_secret(services, username, known) if username in WITH_APP else None,
        }
        for username in PEOPLE
    ]


def _password(services: Services, hasher: PasswordHasher, username: str, known: _Known) -> str | None:
    """The person's password, kept or set anew by a link as everybody's is; None if they are disabled."""
    user = services.users.find(username)
    if user is None:
        user = services.users.create(username, f"{username}@example.com", PEOPLE[username])
    if user.state == "disabled":
        return None
    held = known.passwords.get(username)
    if held is not None and user.state == "active" and hasher.verify(user.password_hash, held):
        return held
    link = services.links.make(user.user_id, "enrol" if user.state == "invited" else "reset")
    text = base64.b32encode(crypto.random_bytes(10)).decode().lower()
    password = "-".join(text[place : place + 4] for place in range(0, len(text), 4))
    services.password_reset.set(link, password)
    known.fresh.add(username)
    return password


def _totp_secret(services: Services, username: str, known: _Known) -> str | None:
    """The secret of the person's authenticator app, kept or set up anew as they would; None if disabled."""
    user = services.users.find(username)
    if user is None or not user.active:
        return None
    held = known.totp_secrets.get(username)
    factors = services.mfa.factors(user.user_id)
    if factors.passkeys or (factors.totp and held and services.mfa.has_secret(user.user_id, held)):
        return held
    services.factor_changes.reset(user.user_id)
    known.fresh.add(username)
    sid = services.sessions.start(user.user_id, acr=acr.PASSWORD, amr=("pwd",))
    session = services.sessions.read(sid)
    assert session is not None
    begun = services.factor_changes.begin_totp(session, username)
    assert begun is not None
    # of the step before this one, so that the present code is still there to be used
    code = totp.code_at(begun.secret, totp.step_at(clock.now()) - 1)
    services.factor_changes.confirm_totp(session, begun.totp_id, code)
    services.sessions.end(session.sid, "demo")
    return begun.secret


def code_of(path: Path, username: str) -> str:
    """The code that the person's authenticator app shows now, by the demo's file; NotDone without it."""
    held = _read(path).totp_secrets.get(username)
    if held is None:
        raise NotDone(f"The demo has no authenticator app of {username}; its own is alice's.")
    return totp.code_at(held, totp.step_at(clock.now()))


def _initial_access_token(services: Services, known: _Known) -> str:
    """The token of a sandbox, kept or new: what is registered by it is active at once, on this machine."""
    if services.partners.find(known.initial_access_token) is not None:
        return known.initial_access_token
    policy = Policy(
        partner="Sandbox",
        scopes=frozenset(PERSON_SCOPES).union(*API_SCOPES.values()),
        grant_types=frozenset({"client_credentials", *FOR_PEOPLE["grant_types"]}),
        auth_methods=frozenset(AUTH_METHODS),
        redirect_hosts=frozenset({"localhost"}),
        authorization_details_types=frozenset(FOR_PEOPLE["authorization_details_types"]),
        tier="gold",
        client_state="active",
    )
    _, token = services.partners.invite(policy, SANDBOX_CLIENTS, SANDBOX_DAYS)
    return token


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


def _read(path: Path) -> _Known:
    try:
        content = json.loads(path.read_text("utf-8"))
        entries = [*content["clients"], *content["resource_servers"]]
        return _Known(
            {entry["client_id"]: entry["client_secret"] for entry in entries if entry["client_secret"]},
            {entry["username"]: entry["password"] for entry in content.get("users", ()) if entry["password"]},
            {e["username"]: e["totp_secret"] for e in content.get("users", ()) if e.get("totp_secret")},
            str(content.get("initial_access_token") or ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Known()


def _write(path: Path, content: dict[str, Any]) -> None:
    """Written whole or not at all, never readable by others."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.chmod(0o600)
    draft.replace(path)
