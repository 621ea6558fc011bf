"""Once-only use of identifiers: a proof's `jti`, a callback, a key of idempotency.

Each form lives in its own module, so that an API imports the one it uses: `sqlite`, `redis`, `memory`.
"""

from typing import Protocol

# Kept beyond expiry: the validator's leeway, and clocks that differ.
MARGIN_SECONDS = 60


class ReplayStore(Protocol):
    """Remembers keys until they expire, for every process of the API alike."""

    def claim(self, key: str, expires_at: int) -> bool:
        """Tell whether this is the first claim of `key`; True exactly once, however many race.

        `expires_at` is in seconds since 1970; a key that has expired cannot be claimed. Unavailable if
        the store cannot tell: then the request is refused.
        """
