"""Attestation: which authenticators may be registered, and what the library leaves out of judging them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from webauthn.helpers import aaguid_to_string, parse_attestation_object
from webauthn.helpers.structs import AttestationFormat, AttestationObject, AttestedCredentialData

from ...errors import Invalid
from .refusal import Refused

NONE = AttestationFormat.NONE.value
PACKED = AttestationFormat.PACKED.value
# id-fido-gen-ce-aaguid (WebAuthn L3 §8.2.1)
AAGUID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
OCTET_STRING_OF_16 = b"\x04\x10"
UNIT = "Authenticator Attestation"
NAMES = (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
MAX_CERTIFICATES = 4


class RootsRefused(Invalid):
    """The file of root certificates cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class AttestationPolicy:
    """``direct`` lets in ``aaguids`` alone that one of ``roots`` (PEM) vouches for; otherwise anything."""

    direct: bool = False
    aaguids: frozenset[str] = frozenset()
    roots: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, conveyance: str, aaguids: Sequence[str], roots: Path | None) -> Self:
        """The policy of the settings; RootsRefused for a file without certificates."""
        if conveyance != "direct":
            return cls()
        try:
            found = x509.load_pem_x509_certificates(roots.read_bytes() if roots else b"")
        except (OSError, ValueError) as error:
            raise RootsRefused(f"The roots of attestation cannot be read: {error}.") from error
        known = frozenset(aaguid.lower() for aaguid in aaguids)
        return cls(True, known, tuple(one.public_bytes(Encoding.PEM) for one in found))

    @property
    def conveyance(self) -> str:
        """What browsers are asked for (WebAuthn L3 §5.4.7)."""
        return "direct" if self.direct else "none"

    def check(self, attestation: AttestationObject, made: AttestedCredentialData) -> None:
        """Refused ``attestation`` for what the policy does not let in; the library has verified the rest.

        Without a certificate an authenticator vouches for itself alone: that says nothing of its model.
        """
        if not self.direct:
            return
        chain = attestation.att_stmt.x5c or []
        if attestation.fmt != PACKED or not chain or aaguid_to_string(made.aaguid) not in self.aaguids:
            raise Refused("attestation")
        check_packed(chain[0], made.aaguid)


def read(data: bytes) -> tuple[AttestationObject, AttestedCredentialData]:
    """The attestation object in ``data`` and the credential in it; Refused for bytes that are none."""
    try:
        found = parse_attestation_object(data)
        chain: Any = found.att_stmt.x5c
    except Exception as error:  # whatever the library meets in bytes of a stranger
        raise Refused("malformed") from error
    if chain is not None and not (_is_chain(chain) and len(chain) <= MAX_CERTIFICATES):
        raise Refused("malformed")
    if found.fmt not in (NONE, PACKED):
        # each format is a parser more in the hands of strangers
        raise Refused("attestation")
    made = found.auth_data.attested_credential_data
    if made is None:
        raise Refused("malformed")
    return found, made


def check_packed(certificate: bytes, aaguid: bytes) -> None:
    """Refused ``attestation`` unless it is an attestation certificate of this model (WebAuthn L3 §8.2.1)."""
    try:
        fits = _fits(x509.load_der_x509_certificate(certificate), aaguid)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Refused("attestation") from error
    if not fits:
        raise Refused("attestation")


def _fits(certificate: x509.Certificate, aaguid: bytes) -> bool:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if certificate.version is not x509.Version.v3 or [unit.value for unit in units] != [UNIT]:
        return False
    if not all(certificate.subject.get_attributes_for_oid(name) for name in NAMES):
        return False
    if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        return False
    model = certificate.extensions.get_extension_for_oid(AAGUID_OID)
    value = model.value
    assert isinstance(value, x509.UnrecognizedExtension)
    return not model.critical and value.value == OCTET_STRING_OF_16 + aaguid


def _is_chain(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, bytes) for one in value)
