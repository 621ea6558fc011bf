"""Authenticator data: whom an authenticator signed for, and whether a person was there (WebAuthn L3 §6.1)."""

from __future__ import annotations

from webauthn.helpers import parse_authenticator_data
from webauthn.helpers.structs import AuthenticatorData

from ... import crypto
from .refusal import Refused


def read(data: bytes) -> AuthenticatorData:
    """The parts of ``data``; Refused ``malformed`` for bytes that are missing or left over."""
    try:
        return parse_authenticator_data(data)
    except Exception as error:  # whatever the library meets in bytes of a stranger
        raise Refused("malformed") from error


def check(data: AuthenticatorData, rp_id: str) -> None:
    """Refused unless it is for ``rp_id``, by a person who was there and was verified.

    A backed up credential is one that may be (WebAuthn L3 §6.1.3).
    """
    if not crypto.equal(data.rp_id_hash, crypto.sha256(rp_id.encode())):
        raise Refused("rp_id")
    if not (data.flags.up and data.flags.uv):
        raise Refused("user_verification")
    if data.flags.bs and not data.flags.be:
        raise Refused("backup_flags")
