"""Public keys of credentials: three algorithms and what they sign."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    verify_signature,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier

from ... import crypto
from .refusal import Refused

ES256 = COSEAlgorithmIdentifier.ECDSA_SHA_256
EDDSA = COSEAlgorithmIdentifier.EDDSA
RS256 = COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256
# the one to prefer first
ALGORITHMS = (ES256, EDDSA, RS256)
MAX_KEY = 2048
RSA_BITS = (2048, 4096)
# a COSE_Key is a map of at most 23 members: no other form of a point is read
MAPS = range(0xA1, 0xB8)


def check(cose_key: bytes) -> None:
    """Refused ``algorithm`` unless it is an ES256, EdDSA (Ed25519) or RS256 key of a usual size."""
    try:
        usable = len(cose_key) <= MAX_KEY and cose_key[0] in MAPS and _usable(cose_key)
    except Exception as error:  # whatever the libraries meet in bytes of a stranger
        raise Refused("algorithm") from error
    if not usable:
        raise Refused("algorithm")


def signed(cose_key: bytes, authenticator_data: bytes, client_data_json: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is by the key over both (WebAuthn L3 §7.2 step 21)."""
    data = authenticator_data + crypto.sha256(client_data_json)
    decoded = decode_credential_public_key(cose_key)
    key = decoded_public_key_to_cryptography(decoded)
    try:
        verify_signature(public_key=key, signature_alg=decoded.alg, signature=signature, data=data)
    except InvalidSignature:
        return False
    return True


def _usable(cose_key: bytes) -> bool:
    decoded = decode_credential_public_key(cose_key)
    key = decoded_public_key_to_cryptography(decoded)
    if isinstance(key, EllipticCurvePublicKey):
        return decoded.alg == ES256 and isinstance(key.curve, SECP256R1)
    if isinstance(key, RSAPublicKey):
        return decoded.alg == RS256 and RSA_BITS[0] <= key.key_size <= RSA_BITS[1]
    return decoded.alg == EDDSA and isinstance(key, Ed25519PublicKey)
