"""The tables. Times are Unix seconds unless a name ends in ``_ms``; lists rest as JSON."""

from . import audit_event, client, lease, network, replay, scope, signing_key, token

__all__ = ["audit_event", "client", "lease", "network", "replay", "scope", "signing_key", "token"]
