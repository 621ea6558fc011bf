"""Every event that the audit log knows."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """The name of an event: its subject, then what happened to it."""

    ACCOUNT_BLOCKED = "account.blocked"
    ALERT_SPRAYING = "alert.spraying"
    AUDIT_CHAIN_BROKEN = "audit.chain.broken"
    AUDIT_READ = "audit.read"
    AUDIT_VERIFIED = "audit.verified"
    AUTHZ_INTERACTION = "authz.interaction"
    AUTHZ_REJECTED = "authz.rejected"
    CLIENT_AUTH_FAILED = "client.auth.failed"
    CLIENT_IP_REJECTED = "client.ip.rejected"
    CLIENT_KEYS_REFRESHED = "client.keys.refreshed"
    CLIENT_REGISTERED = "client.registered"
    CLIENT_SECRET_ROTATED = "client.secret.rotated"  # noqa: S105 - the name of an event
    CLIENT_STATE_CHANGED = "client.state.changed"
    CLIENT_UPDATED = "client.updated"
    CLIENT_UPDATE_REJECTED = "client.update.rejected"
    CODE_ISSUED = "code.issued"
    CONSENT_DENIED = "consent.denied"
    CONSENT_GRANTED = "consent.granted"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    CSRF_REJECTED = "csrf.rejected"
    DEPENDENCY_FAILED = "dependency.failed"
    ERROR_UNHANDLED = "error.unhandled"
    GRANT_REPLAY_DETECTED = "grant.replay_detected"
    HTTP_REJECTED = "http.rejected"
    INTROSPECTION_DENIED = "introspection.denied"
    INTROSPECTION_OK = "introspection.ok"
    JWT_REJECTED = "jwt.rejected"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    LOGIN_FAILED = "login.failed"
    LOGIN_REQUIRED = "login.required"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGOUT_BACKCHANNEL_FAILED = "logout.backchannel.failed"
    LOGOUT_BACKCHANNEL_SENT = "logout.backchannel.sent"
    LOGOUT_DONE = "logout.done"
    LOGOUT_REJECTED = "logout.rejected"
    PARTNER_INVITED = "partner.invited"
    PARTNER_REVOKED = "partner.revoked"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of an event
    PASSWORD_REJECTED = "password.rejected"  # noqa: S105 - the name of an event
    RATELIMIT_HIT = "ratelimit.hit"
    REGISTRATION_CREATED = "registration.created"
    REGISTRATION_DELETED = "registration.deleted"
    REGISTRATION_READ = "registration.read"
    REGISTRATION_REJECTED = "registration.rejected"
    REGISTRATION_UPDATED = "registration.updated"
    RESOURCE_REJECTED = "resource.rejected"
    RESOURCE_SERVER_REGISTERED = "resource_server.registered"
    REVOCATION_DENIED = "revocation.denied"
    REVOCATION_NOOP = "revocation.noop"
    SCOPE_CHANGED = "scope.changed"
    SESSION_CREATED = "session.created"
    SESSION_EXPIRED = "session.expired"
    SESSION_LIMIT = "session.limit"
    SESSION_REJECTED = "session.rejected"
    SESSION_REVOKED = "session.revoked"
    SESSION_ROTATED = "session.rotated"
    TIER_CHANGED = "tier.changed"
    TOKEN_FAMILY_REVOKED = "token.family.revoked"  # noqa: S105 - the name of an event
    TOKEN_ISSUED = "token.issued"  # noqa: S105 - the name of an event
    TOKEN_REJECTED = "token.rejected"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
    USER_CREATED = "user.created"
    USER_LINK_MADE = "user.link.made"
    USER_LINK_REJECTED = "user.link.rejected"
    USER_STATE_CHANGED = "user.state.changed"
    WEBAUTHN_REJECTED = "webauthn.rejected"
