"""A person's own pages: who they are here, what they allow, where they are signed in, what happened."""

from . import activity, consents, data, email, overview, sessions, wording
from .blueprint import blueprint

__all__ = ["activity", "blueprint", "consents", "data", "email", "overview", "sessions", "wording"]
