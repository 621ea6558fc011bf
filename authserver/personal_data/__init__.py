"""What this server holds of a person: a copy of it for them, and its erasure (GDPR art. 15, 17, 20)."""

from .erasure import WAIT_SECONDS, Erasure
from .export import Export

__all__ = ["WAIT_SECONDS", "Erasure", "Export"]
