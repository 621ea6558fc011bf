"""Metadata (RFC 8414, OpenID Connect Discovery 1.0): everything advertised works, and the reverse."""

from __future__ import annotations

from typing import Any

from ..clients import Scopes
from ..config import Settings
from .introspection import IntrospectionEndpoint
from .revocation import RevocationEndpoint
from .server import AuthorizationServer


def metadata(settings: Settings, server: AuthorizationServer, scopes: Scopes) -> dict[str, Any]:
    """The metadata document, derived from what is registered."""
    issuer = settings.issuer
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "scopes_supported": sorted(
            scope.name for scope in scopes.all().values() if scope.audience is not None
        ),
        # REQUIRED by RFC 8414 §2; empty as long as there is no authorization endpoint
        "response_types_supported": [],
        "grant_types_supported": list(server.grant_types),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint": f"{issuer}/introspect",
        "introspection_endpoint_auth_methods_supported": list(IntrospectionEndpoint.CLIENT_AUTH_METHODS),
        "revocation_endpoint": f"{issuer}/revoke",
        "revocation_endpoint_auth_methods_supported": list(RevocationEndpoint.CLIENT_AUTH_METHODS),
        "protected_resources": sorted(api.audience for api in scopes.resource_servers()),
        # this server's own: the signed list of docs/validating-tokens.md
        "revocations_uri": f"{issuer}/revocations",
    }
