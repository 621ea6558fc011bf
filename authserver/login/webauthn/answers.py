"""What browsers answer in JSON (WebAuthn L3 §5.1): read strictly, and bounded before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import crypto, strict_json
from .refusal import Refused

MAX_DEPTH = 8
MAX_ASSERTION = 16_384
MAX_ATTESTATION = 49_152
MAX_CREDENTIAL_ID = 1023  # WebAuthn L3 §7.1
MAX_CLIENT_DATA = 4096
MAX_AUTHENTICATOR_DATA = 2048
MAX_SIGNATURE = 1024
MAX_USER_HANDLE = 64  # WebAuthn L3 §5.4.3
MAX_ATTESTATION_OBJECT = 24_576
TRANSPORTS = ("usb", "nfc", "ble", "smart-card", "hybrid", "internal")


@dataclass(frozen=True, slots=True)
class AssertionAnswer:
    """The answer of ``navigator.credentials.get()``; the user handle is None where there is none."""

    credential_id: bytes
    client_data_json: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None


@dataclass(frozen=True, slots=True)
class AttestationAnswer:
    """The answer of ``navigator.credentials.create()``; ``discoverable`` is what the client says of it."""

    credential_id: bytes
    client_data_json: bytes
    attestation_object: bytes
    transports: tuple[str, ...]
    discoverable: bool


def read_assertion(text: str) -> AssertionAnswer:
    """The answer in ``text``; Refused ``malformed`` for anything else than WebAuthn L3 §5.1.8 has."""
    document, response = _read(text, MAX_ASSERTION)
    handle = response.get("userHandle")
    return AssertionAnswer(
        _credential_id(document),
        _bytes(response, "clientDataJSON", MAX_CLIENT_DATA),
        _bytes(response, "authenticatorData", MAX_AUTHENTICATOR_DATA),
        # an empty one is judged, and fits nothing
        _bytes(response, "signature", MAX_SIGNATURE, least=0),
        None if handle is None else _bytes(response, "userHandle", MAX_USER_HANDLE),
    )


def read_attestation(text: str) -> AttestationAnswer:
    """The answer in ``text``; Refused ``malformed`` for anything else than WebAuthn L3 §5.1.8 has."""
    document, response = _read(text, MAX_ATTESTATION)
    given = response.get("transports", [])
    if not isinstance(given, list) or len(given) > 2 * len(TRANSPORTS):
        raise Refused("malformed")
    return AttestationAnswer(
        _credential_id(document),
        _bytes(response, "clientDataJSON", MAX_CLIENT_DATA),
        _bytes(response, "attestationObject", MAX_ATTESTATION_OBJECT),
        # those that are not known yet are nobody's hint
        tuple(name for name in TRANSPORTS if name in given),
        _discoverable(document),
    )


def _read(text: str, limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    if not text or len(text) > limit:
        raise Refused("malformed")
    try:
        document = strict_json.read(text, MAX_DEPTH)
    except ValueError as error:
        raise Refused("malformed") from error
    if not isinstance(document, dict) or document.get("type") != "public-key":
        raise Refused("malformed")
    response = document.get("response")
    if not isinstance(response, dict):
        raise Refused("malformed")
    return document, response


def _credential_id(document: dict[str, Any]) -> bytes:
    if document.get("rawId") != document.get("id"):
        raise Refused("malformed")
    return _bytes(document, "id", MAX_CREDENTIAL_ID)


def _bytes(members: dict[str, Any], name: str, most: int, least: int = 1) -> bytes:
    value = members.get(name)
    if not isinstance(value, str):
        raise Refused("malformed")
    try:
        data = crypto.b64u_decode(value)
    except ValueError as error:
        raise Refused("malformed") from error
    if not least <= len(data) <= most:
        raise Refused("malformed")
    return data


def _discoverable(document: dict[str, Any]) -> bool:
    results = document.get("clientExtensionResults")
    properties = results.get("credProps") if isinstance(results, dict) else None
    return isinstance(properties, dict) and properties.get("rk") is True
