"""Why a registration is refused: the words of the audit log, and the one text that each is told with."""

from __future__ import annotations

from ...audit import Event
from ...errors import ProtocolError

METADATA = "invalid_client_metadata"
CHALLENGE = 'Bearer realm="authserver", error="invalid_token"'
# reason -> description, all of them invalid_client_metadata (RFC 7591 §3.2.2) unless named below
TEXTS = {
    "json": "The body is not one JSON object of plain text in which no member is repeated.",
    "redirect_uri": "redirect_uris are 1 to 20 exact addresses at hosts that this registration allows.",
    "grant_types": (
        "grant_types, response_types and token_endpoint_auth_method do not fit together, or are not allowed."
    ),
    "scope": "scope names something that is unknown or not allowed in this registration.",
    "contacts": "contacts are at most 10 e-mail addresses.",
    "client_name": "client_name is one line of 1 to 100 characters, with a letter and nothing hidden.",
    "uri_scheme": "An address in the metadata is not a https URL.",
    "uri_blocked": "An address in the metadata has a host, port or form that is not accepted.",
    "jwks": "private_key_jwt needs public keys, by jwks or jwks_uri, not both, each key fit for signing.",
    "auth_signing_alg": (
        "token_endpoint_auth_signing_alg is for private_key_jwt, and one of the algorithms in the metadata."
    ),
    "id_token_alg": "id_token_signed_response_alg is one of the algorithms in the metadata.",
    "userinfo_alg": "userinfo_signed_response_alg is one of the algorithms in the metadata, or left out.",
    "subject_type": "subject_type is public or pairwise, as this registration allows.",
    "subject_changed": "subject_type and sector stay as they were registered: ask the operator.",
    "sector": (
        "redirect_uris at several hosts, at loopback addresses or of apps' own schemes need a "
        "sector_identifier_uri for subject_type pairwise."
    ),
    "sector_identifier_uri": (
        "sector_identifier_uri is at a host that this registration allows, and leads to a JSON array with "
        "every one of redirect_uris."
    ),
    "initiate_login_uri": (
        "initiate_login_uri is at a host that this registration allows, without iss, login_hint or "
        "target_link_uri."
    ),
    "access_token_format": "access_token_format is one that this registration allows.",
    "encryption": "Nothing is encrypted to a client here: leave out the members that ask for it.",
    "unsupported": "The metadata demand something that this server cannot do.",
    "application_type": "application_type is web or native.",
    "authorization_details_types": "authorization_details_types names a type that is unknown or not allowed.",
    "default_max_age": "default_max_age is a number of seconds up to ten years.",
    "require_auth_time": "require_auth_time is true or false.",
    "default_acr_values": "default_acr_values are at most 8 texts without spaces.",
    "software": "software_id and software_version are 1 to 200 characters without control characters.",
    "software_statement": "No issuer of software statements is approved here.",
    "client_id": "client_id is the one that this registration is about.",
    "client_secret": "client_secret is not the one that this client has now.",
    "read_only": "The body has a member that the server alone sets.",
    "post_logout_redirect_uris": (
        "post_logout_redirect_uris are at most 20 exact addresses at hosts that this registration allows."
    ),
    "backchannel_logout_session_required": "backchannel_logout_session_required is true or false.",
    "metadata": "The metadata do not fit together.",
}
ERRORS = {
    "redirect_uri": "invalid_redirect_uri",
    "software_statement": "unapproved_software_statement",
}


def refused(reason: str, client_id: str = "") -> ProtocolError:
    """400 with the error of RFC 7591 §3.2.2 that ``reason`` has."""
    return ProtocolError(
        ERRORS.get(reason, METADATA),
        TEXTS[reason],
        event=Event.REGISTRATION_REJECTED,
        reason=reason,
        client_id=client_id,
    )


def invalid_token(reason: str, client_id: str = "") -> ProtocolError:
    """401 (RFC 6750 §3.1), the same for every token that is not good here, and for none at all."""
    return ProtocolError(
        "invalid_token",
        "The token is not valid here.",
        event=Event.REGISTRATION_REJECTED,
        reason=reason,
        status=401,
        headers=[("WWW-Authenticate", CHALLENGE)],
        client_id=client_id,
    )


def suspended(client_id: str) -> ProtocolError:
    """403 (RFC 7592 §2.1): the client is not permitted to see or change its record."""
    return ProtocolError(
        "access_denied",
        "This client is suspended; ask the operator.",
        event=Event.REGISTRATION_REJECTED,
        reason="client_suspended",
        status=403,
        client_id=client_id,
    )


def changed_meanwhile(client_id: str) -> ProtocolError:
    """409: somebody else changed the client while this update was judged; what they did stays."""
    return ProtocolError(
        "temporarily_unavailable",
        "The client was changed meanwhile. Read it and try again.",
        event=Event.REGISTRATION_REJECTED,
        reason="changed_meanwhile",
        status=409,
        client_id=client_id,
    )


def outside(client_id: str) -> ProtocolError:
    """403, as at every other endpoint: the client is not looked after from where it may not call."""
    return ProtocolError(
        "access_denied",
        "This client may not call from this network.",
        event=Event.CLIENT_IP_REJECTED,
        reason="ip_not_allowed",
        status=403,
        client_id=client_id,
    )
