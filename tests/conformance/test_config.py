"""The module of ``oidcc-config-certification-test-plan``, a test of its name.

Written anew from what the module of the OpenID Foundation's suite says that it expects.
"""

from __future__ import annotations

import re

from joserfc.jwk import KeySet
from plugins.app import ISSUER, World

from .conftest import endpoints_are_https, metadata_of

PUBLIC = "https://auth.example.com"
# what IANA's registry of OAuth authorization server metadata and OpenID Connect Discovery §3 know, as far as
# it is told here; the suite warns of any other
REGISTERED = {
    "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint",
    "userinfo_endpoint", "scopes_supported", "response_types_supported", "response_modes_supported",
    "grant_types_supported", "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported", "code_challenge_methods_supported",
    "authorization_response_iss_parameter_supported", "authorization_details_types_supported",
    "introspection_endpoint", "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported", "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported",
    "end_session_endpoint", "backchannel_logout_supported", "backchannel_logout_session_supported",
    "subject_types_supported", "id_token_signing_alg_values_supported", "acr_values_supported",
    "claims_supported", "claim_types_supported", "prompt_values_supported", "request_uri_parameter_supported",
    "request_parameter_supported", "claims_parameter_supported", "protected_resources",
    "service_documentation", "op_policy_uri", "op_tos_uri", "ui_locales_supported",
    "userinfo_signing_alg_values_supported", "introspection_signing_alg_values_supported",
}  # fmt: skip
OWN = {"revocations_uri"}
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def test_oidcc_discovery_endpoint_verification(world: World) -> None:
    response = world.send("GET", "/.well-known/openid-configuration")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json["issuer"] == ISSUER
    document = metadata_of(world, PUBLIC)
    assert document.keys() == response.json.keys()
    assert document["issuer"] == PUBLIC
    endpoints_are_https(document)
    assert "code" in document["response_types_supported"]
    assert set(document["subject_types_supported"]) <= {"public", "pairwise"}
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    for name in ("authorization", "token", "userinfo", "registration"):
        assert document[f"{name}_endpoint"].startswith(PUBLIC + "/")
    assert document["jwks_uri"] == PUBLIC + "/jwks"
    keys = world.send("GET", "/jwks").json
    assert KeySet.import_key_set(keys).keys
    assert len({key["kid"] for key in keys["keys"]}) == len(keys["keys"])
    assert not any({"d", "k", "p", "q"} & set(key) for key in keys["keys"])
    assert document["request_parameter_supported"] is False
    assert document["request_uri_parameter_supported"] is False
    assert document["claims_parameter_supported"] is True
    assert {"sub", "name", "email", "auth_time", "acr"} <= set(document["claims_supported"])
    assert document["grant_types_supported"]
    assert "openid" in document["scopes_supported"]
    assert all(SCOPE.fullmatch(scope) for scope in document["scopes_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert set(document) - REGISTERED == OWN
    # RFC 8414 §3.2: "Claims with zero elements MUST be omitted"
    assert [name for name, value in document.items() if value in ([], None, "")] == []
