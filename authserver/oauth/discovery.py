"""Metadata (RFC 8414, OpenID Connect Discovery 1.0): everything advertised works, and the reverse."""

from __future__ import annotations

from typing import Any

from .. import acr
from ..clients import Scopes
from ..clients.sectors import SUBJECT_TYPES
from ..config import ID_TOKEN_ALGS, SIGNING_ALGS, Settings
from . import claims, pkce, rar, response_mode
from .authentication_checks import PROMPTS
from .grants.base import PersonGrant
from .introspection import IntrospectionEndpoint
from .revocation import RevocationEndpoint
from .server import AuthorizationServer

OWN_SCOPES = ("openid", "profile", "email", "offline_access")
ID_TOKEN_CLAIMS = ("iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid")


def metadata(settings: Settings, server: AuthorizationServer, scopes: Scopes) -> dict[str, Any]:
    """The metadata document, derived from what is registered."""
    issuer = settings.issuer
    told = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "registration_endpoint": f"{issuer}/register",
        "userinfo_endpoint": f"{issuer}/userinfo",
        # a scope that no API owns, and this server does not know by itself, is good for nothing
        "scopes_supported": sorted(
            scope.name for scope in scopes.all().values() if scope.audience or scope.name in OWN_SCOPES
        ),
        "response_types_supported": ["code"],
        "response_modes_supported": list(response_mode.MODES),
        "grant_types_supported": list(server.grant_types),
        "token_endpoint_auth_methods_supported": list(PersonGrant.TOKEN_ENDPOINT_AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGS),
        "code_challenge_methods_supported": [pkce.METHOD],
        # RFC 9207 §3
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": sorted(rar.TYPES) if settings.payments_open else [],
        "introspection_endpoint": f"{issuer}/introspect",
        "introspection_endpoint_auth_methods_supported": list(IntrospectionEndpoint.CLIENT_AUTH_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGS),
        "revocation_endpoint": f"{issuer}/revoke",
        "revocation_endpoint_auth_methods_supported": list(RevocationEndpoint.CLIENT_AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGS),
        "end_session_endpoint": f"{issuer}/end_session",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "subject_types_supported": list(SUBJECT_TYPES),
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGS),
        "userinfo_signing_alg_values_supported": list(ID_TOKEN_ALGS),
        "acr_values_supported": list(acr.reachable()),
        "claims_supported": [*claims.SUPPORTED, *ID_TOKEN_CLAIMS],
        # OpenID Connect Discovery §3
        "ui_locales_supported": list(settings.languages),
        "claim_types_supported": ["normal"],
        "prompt_values_supported": sorted(PROMPTS),
        # OpenID Connect Discovery §3 would have it true if it were left out
        "request_uri_parameter_supported": False,
        "request_parameter_supported": False,
        "claims_parameter_supported": True,
        "protected_resources": sorted(api.audience for api in scopes.resource_servers()),
        # this server's own: the signed list of docs/validating-tokens.md
        "revocations_uri": f"{issuer}/revocations",
        "service_documentation": settings.service_documentation,
        "op_policy_uri": settings.op_policy_uri,
        "op_tos_uri": settings.op_tos_uri,
    }
    # RFC 8414 §3.2: "Claims with zero elements MUST be omitted from the response."
    return {name: value for name, value in told.items() if value not in ("", [])}
