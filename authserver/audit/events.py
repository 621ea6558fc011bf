"""Every event that the audit log knows."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """The name of an event: its subject, then what happened to it."""

    AUDIT_CHAIN_BROKEN = "audit.chain.broken"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFIED = "audit.verified"
    CLIENT_AUTH_FAILED = "client.auth.failed"
    CLIENT_IP_REJECTED = "client.ip.rejected"
    CLIENT_REGISTERED = "client.registered"
    CLIENT_SECRET_ROTATED = "client.secret.rotated"  # noqa: S105 - the name of an event
    CLIENT_STATE_CHANGED = "client.state.changed"
    CLIENT_UPDATED = "client.updated"
    CLIENT_UPDATE_REJECTED = "client.update.rejected"
    DEPENDENCY_FAILED = "dependency.failed"
    ERROR_UNHANDLED = "error.unhandled"
    HTTP_REJECTED = "http.rejected"
    INTROSPECTION_DENIED = "introspection.denied"
    INTROSPECTION_OK = "introspection.ok"
    JWT_REJECTED = "jwt.rejected"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    RATELIMIT_HIT = "ratelimit.hit"
    RESOURCE_SERVER_REGISTERED = "resource_server.registered"
    REVOCATION_DENIED = "revocation.denied"
    REVOCATION_NOOP = "revocation.noop"
    SCOPE_CHANGED = "scope.changed"
    TIER_CHANGED = "tier.changed"
    TOKEN_ISSUED = "token.issued"  # noqa: S105 - the name of an event
    TOKEN_REJECTED = "token.rejected"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
