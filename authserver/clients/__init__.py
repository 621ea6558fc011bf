"""Clients: their records, their secrets, and what operators do to them."""

from .record import ClientRecord, ResourceServerRecord
from .registry import Clients
from .scopes import ScopeRecord, Scopes
from .secrets import SecretHasher

__all__ = ["ClientRecord", "Clients", "ResourceServerRecord", "ScopeRecord", "Scopes", "SecretHasher"]
