"""Signing keys: made, announced, used, retired. Every signature of the server is made here."""

from .rotation import Rotation
from .store import Key, KeyStore

__all__ = ["Key", "KeyStore", "Rotation"]
