"""A PostgreSQL connection that waits for its server only so long.

The server's own timeouts end a slow statement. They are silent when the server itself is: frozen, or cut
off behind a network that still acknowledges.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, errors

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 3
LOCK_SECONDS = 2
# the server's own word comes first, as long as it has one
PATIENCE_SECONDS = STATEMENT_SECONDS + 1

CONNECT_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={LOCK_SECONDS}s",
    "tcp_user_timeout": PATIENCE_SECONDS * 1000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


class Impatient(Connection[Any]):
    """Closes and raises ConnectionTimeout when an answer takes longer than ``patience`` seconds."""

    patience: float | None = PATIENCE_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """What the server answered; psycopg's every exchange with it goes through here."""
        if timeout is not None or self.patience is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience)
        except errors._WaitTimeout:
            # the answer may still come: nobody must read it as that of another statement
            self.pgconn.finish()
            raise errors.ConnectionTimeout("the server does not answer") from None


def hung(error: BaseException | None) -> bool:
    """Whether ``error`` tells of a server that did not answer at all."""
    return isinstance(error, errors.ConnectionTimeout)
