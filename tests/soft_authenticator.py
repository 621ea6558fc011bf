"""An authenticator made by hand: it signs what it is told to sign, also what no honest one would.

``Authenticator`` is a device with keys in it; ``register`` and ``sign`` give what a browser's ``toJSON()``
does.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authserver.crypto import b64u, b64u_decode

ORIGIN = "http://localhost:8000"
RP_ID = "localhost"
UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
PRESENT = UP | UV
ES256, EDDSA, RS256 = -7, -8, -257
NO_AAGUID = bytes(16)
AAGUID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def new_key(alg: int = ES256) -> Key:
    if alg == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if alg == RS256:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def cose(key: Key) -> dict[int, Any]:
    """The COSE_Key of a key's public half (RFC 9053 §7)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {1: 1, 3: EDDSA, -1: 6, -2: key.public_key().public_bytes_raw()}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {1: 3, 3: RS256, -1: numbers.n.to_bytes(size, "big"), -2: numbers.e.to_bytes(3, "big")}
    point = key.public_key().public_numbers()
    return {1: 2, 3: ES256, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}


def sign_with(key: Key, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def client_data(type_: str, challenge: str, **changes: Any) -> bytes:
    """clientDataJSON as Chromium writes it; None as a change leaves a member out."""
    members = {"type": type_, "challenge": challenge, "origin": ORIGIN, "crossOrigin": False} | changes
    return json.dumps({k: v for k, v in members.items() if v is not None}, separators=(",", ":")).encode()


@dataclass
class Credential:
    """A key of one account on the device."""

    key: Key
    user_handle: bytes
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))


@dataclass
class Authenticator:
    """``flags`` and ``count`` are what it says next; a count of None is one that is always zero."""

    alg: int = ES256
    flags: int = PRESENT
    count: int | None = 0
    aaguid: bytes = NO_AAGUID
    rp_id: str = RP_ID
    credentials: list[Credential] = field(default_factory=list)

    def data(self, **changes: Any) -> bytes:
        """Authenticator data without a credential (WebAuthn L3 §6.1)."""
        said = {"rp_id": self.rp_id, "flags": self.flags, "count": self.count or 0} | changes
        hashed = hashlib.sha256(said["rp_id"].encode()).digest()
        return hashed + bytes([said["flags"]]) + said["count"].to_bytes(4, "big")

    def register(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The answer to creation options.

        Besides members of the client data ``changes`` may name ``type_``, ``flags``, ``rp_id``, ``cose_key``
        (bytes) and ``attest``: what makes an attestation statement of the bytes to sign and the key.
        """
        type_ = changes.pop("type_", "webauthn.create")
        made = Credential(new_key(self.alg), b64u_decode(options["user"]["id"]))
        public = changes.pop("cose_key", None) or cbor2.dumps(cose(made.key))
        attest = changes.pop("attest", None)
        said = {name: changes.pop(name) for name in ("flags", "rp_id") if name in changes}
        said["flags"] = said.get("flags", self.flags) | AT
        data = self.data(**said) + self.aaguid + len(made.id).to_bytes(2, "big") + made.id + public
        signed_for = client_data(type_, options["challenge"], **changes)
        fmt, statement = "none", {}
        if attest is not None:
            fmt, statement = attest(data + hashlib.sha256(signed_for).digest(), made.key)
        self.credentials.append(made)
        attestation = cbor2.dumps({"fmt": fmt, "attStmt": statement, "authData": data})
        response = {
            "clientDataJSON": b64u(signed_for),
            "attestationObject": b64u(attestation),
            "transports": ["internal"],
        }
        return _credential_json(made.id, response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def sign(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The answer to request options, by the first credential that they allow.

        Besides members of the client data ``changes`` may name ``type_``, ``flags``, ``rp_id``, ``count``,
        ``key`` (one that signs instead), ``credential`` and ``handle``.
        """
        type_ = changes.pop("type_", "webauthn.get")
        credential = changes.pop("credential", None) or self._allowed(options)
        handle = changes.pop("handle", credential.user_handle)
        key = changes.pop("key", credential.key)
        said = {name: changes.pop(name) for name in ("flags", "rp_id", "count") if name in changes}
        if self.count is not None and "count" not in said:
            self.count += 1
        data, signed_for = self.data(**said), client_data(type_, options["challenge"], **changes)
        response = {
            "clientDataJSON": b64u(signed_for),
            "authenticatorData": b64u(data),
            "signature": b64u(sign_with(key, data + hashlib.sha256(signed_for).digest())),
        }
        if handle is not None:
            response["userHandle"] = b64u(handle)
        return _credential_json(credential.id, response) | {"clientExtensionResults": {}}

    def _allowed(self, options: dict[str, Any]) -> Credential:
        allowed = {one["id"] for one in options.get("allowCredentials", [])}
        return next(one for one in self.credentials if not allowed or b64u(one.id) in allowed)


def _credential_json(credential_id: bytes, response: dict[str, Any]) -> dict[str, Any]:
    identifier = b64u(credential_id)
    return {
        "id": identifier,
        "rawId": identifier,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "response": response,
    }


class Maker:
    """Makes authenticators of models that its root certificate vouches for."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maker Root")])
        self.root = self._built(self.name, self.key, [x509.BasicConstraints(True, None)])

    @property
    def pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    def attest(
        self, aaguid: bytes | None, *, ca: bool = False, unit: str = "Authenticator Attestation"
    ) -> Any:
        """What ``Authenticator.register`` takes: packed statements with a certificate for ``aaguid``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "SE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Maker"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
                x509.NameAttribute(NameOID.COMMON_NAME, "Model"),
            ]
        )
        extensions: list[Any] = [x509.BasicConstraints(ca, None)]
        if aaguid is not None:
            extensions.append(x509.UnrecognizedExtension(AAGUID_OID, b"\x04\x10" + aaguid))
        leaf = self._built(subject, key, extensions).public_bytes(Encoding.DER)

        def statement(data: bytes, _credential_key: Key) -> tuple[str, dict[str, Any]]:
            return "packed", {"alg": ES256, "sig": sign_with(key, data), "x5c": [leaf]}

        return statement

    def _built(self, subject: x509.Name, key: Any, extensions: list[Any]) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(
            now + timedelta(days=1000)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())


def attest_itself(data: bytes, key: Key) -> tuple[str, dict[str, Any]]:
    """Self attestation: the credential's own key vouches for itself (WebAuthn L3 §8.2)."""
    return "packed", {"alg": cose(key)[3], "sig": sign_with(key, data)}
