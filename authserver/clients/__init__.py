"""Clients: their records, their secrets, and what operators do to them."""

from .changes import Clients
from .record import ClientRecord, ResourceServerRecord, is_client_id
from .registrations import Registration, Registrations, Spent
from .registry import Changed
from .scopes import ScopeRecord, Scopes
from .secrets import SecretHasher

__all__ = [
    "Changed",
    "ClientRecord",
    "Clients",
    "Registration",
    "Registrations",
    "ResourceServerRecord",
    "ScopeRecord",
    "Scopes",
    "SecretHasher",
    "Spent",
    "is_client_id",
]
