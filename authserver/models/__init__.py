"""The tables. Times are Unix seconds unless a name ends in ``_ms``; lists rest as JSON."""

from . import (
    audit_event,
    authorization,
    client,
    grant,
    lease,
    logout,
    network,
    partner,
    replay,
    scope,
    session,
    signing_key,
    subject,
    token,
    user,
    webauthn,
)

__all__ = [
    "audit_event",
    "authorization",
    "client",
    "grant",
    "lease",
    "logout",
    "network",
    "partner",
    "replay",
    "scope",
    "session",
    "signing_key",
    "subject",
    "token",
    "user",
    "webauthn",
]
