"""Passwords that were in breaches: looked up offline in one compact file."""

from .filter import BreachedPasswords, FilterRefused
from .importing import build

__all__ = ["BreachedPasswords", "FilterRefused", "build"]
