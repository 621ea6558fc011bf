"""Who plays in the cases besides the clients of ``plugins.app.populate``: more clients, and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assertions import register
from plugins.app import CODE_GRANTS, CODE_SCOPES, World
from plugins.people import add_user

from authserver import crypto
from authserver.clients.metadata import AUTH_METHODS
from authserver.partners import Policy

from .asserted import SIGNERS

CODE_CLIENT: dict[str, Any] = {
    "state": "active",
    "tier": "gold",
    "profile": "oauth21",
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": CODE_GRANTS,
    "scopes": [*CODE_SCOPES, "accounts:read", "reports"],
}
# made when a case names them
CLIENTS: dict[str, dict[str, Any]] = {
    "web3": {"redirect_uris": ["https://third.example/cb", "https://third.example/cb?tenant=1"]},
    "once1": {"redirect_uris": ["https://once.example/cb"], "grant_types": ["authorization_code"]},
    "lax1": {"redirect_uris": ["https://lax.example/cb"], "require_pkce": False},
    "fapi1": {"redirect_uris": ["https://fapi.example/cb"], "profile": "fapi2"},
    # no app, though it has a loopback address
    "local1": {"redirect_uris": ["http://127.0.0.1/cb", "http://localhost/cb"]},
    "native1": {
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"],
    },
    "pay1": {
        "redirect_uris": ["https://pay.example/cb"],
        "scopes": [*CODE_SCOPES, "payments:initiate"],
        "authorization_details_types": ["payment_initiation"],
    },
    "acct1": {
        "redirect_uris": ["https://accounts.example/cb"],
        "authorization_details_types": ["account_information"],
    },
    "web_pkjwt": {"scopes": ["reports"]},
    "web_pkjwt2": {"scopes": ["reports"]},
    # all that the happy flow after every case needs
    "bystander": {"redirect_uris": [], "grant_types": ["client_credentials"], "scopes": ["payments:read"]},
}
# of a partner who may register clients
POLICY = Policy(
    partner="Partner",
    scopes=frozenset({"openid", "profile", "offline_access", "accounts:read"}),
    grant_types=frozenset({*CODE_GRANTS, "client_credentials"}),
    auth_methods=frozenset(AUTH_METHODS),
    redirect_hosts=frozenset({"rp.example"}),
    tier="gold",
    client_state="active",
)
PEOPLE = ("alice", "bob", "mallory", "carol")


@dataclass(frozen=True)
class Person:
    """Somebody with a password; new in every case, so that nothing is remembered of them."""

    username: str
    password: str
    user_id: str


def person(world: World, name: str) -> Person:
    """A new person called ``name`` or nearly so."""
    username = f"{name}-{crypto.random_bytes(4).hex()}"
    password = f"{name} walks a dog {crypto.random_bytes(8).hex()}"
    return Person(username, password, add_user(world.services, username, password))


def client(world: World, client_id: str) -> None:
    """The client is registered."""
    if client_id in world.methods or client_id not in CLIENTS:
        return
    if client_id in SIGNERS:
        register(world, client_id, SIGNERS[client_id], **CLIENTS[client_id])
        return
    values = CODE_CLIENT | {"client_id": client_id, "client_name": client_id} | CLIENTS[client_id]
    _, secret = world.services.clients.create(values)
    world.methods[client_id] = values["token_endpoint_auth_method"]
    if secret is not None:
        world.secrets[client_id] = secret
    world.services.versions.forget()
