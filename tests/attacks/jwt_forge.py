"""JWTs that are wrong in one thing: each made from a right one, with the key that signs right ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, RSAKey

from authserver import clock, jws

from .forge import b64u, part

# of P-256 (SEC 2 §2.4.2)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


@dataclass(frozen=True)
class Right:
    """What a right JWT is made of; ``key`` is its signer's ES256 key pair."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: Any

    def text(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A JWT signed right, with other members."""
        return jws.sign(self.header | (header or {}), self.claims | claims, self.key)

    def signed(self, head: str, payload: str) -> str:
        """Any two segments with the signer's own signature."""
        r, s = self._numbers(f"{head}.{payload}")
        return f"{head}.{payload}.{_raw(r, s)}"

    def _numbers(self, text: str) -> tuple[int, int]:
        signature = self.key.get_op_key("sign").sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        return utils.decode_dss_signature(signature)


def _raw(r: int, s: int) -> str:
    return b64u(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def alg_none(right: Right) -> Iterator[str]:
    """JW-001: no signature, spelt in every way, with and without one left over."""
    rest = right.text().split(".")
    for alg in ("none", "None", "NONE", "nOnE", "none ", "", None, 0):
        head = part(right.header | {"alg": alg})
        yield f"{head}.{rest[1]}."
        yield f"{head}.{rest[1]}.{rest[2]}"


def hmac_with_public_key(right: Right) -> Iterator[str]:
    """JW-002: the public key, as whatever bytes somebody might take it for, is the secret."""
    public = right.key.get_op_key("verify")
    pem = right.key.as_pem(private=False)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = right.key.as_dict(private=False)
    secrets = (
        pem, pem.strip(), pem + b"\n", der, json.dumps(jwk).encode(), b"",
        json.dumps(jwk, separators=(",", ":")).encode(), _certificate(right.key),
        public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
    )  # fmt: skip
    for alg, hash_ in HASHES.items():
        for secret in secrets:
            text = f"{part(right.header | {'alg': alg})}.{part(right.claims)}"
            yield f"{text}.{b64u(hmac.digest(secret, text.encode(), hash_))}"


def _certificate(key: Any, encoding: serialization.Encoding = serialization.Encoding.PEM) -> bytes:
    """A certificate that ``key`` made for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.get_op_key("verify"))
        .serial_number(1)
        .not_valid_before(clock_time(-60))
        .not_valid_after(clock_time(60))
        .sign(key.get_op_key("sign"), hashes.SHA256())
    )
    return made.public_bytes(encoding)


def clock_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(clock.now() + seconds, UTC)


def embedded_key(right: Right) -> Iterator[str]:
    """JW-005: the attacker's key comes along, and so does the signer's own."""
    stranger = ECKey.generate_key("P-256")
    der = _certificate(stranger, serialization.Encoding.DER)
    for header in ({"jwk": stranger.as_dict(private=False)}, {"x5c": [base64.b64encode(der).decode()]}):
        yield jws.sign(right.header | header, right.claims, stranger)
        yield jws.sign(right.header | header | {"kid": "stranger"}, right.claims, stranger)
    yield right.text({"jwk": right.key.as_dict(private=False)})


def remote_key(right: Right, place: str) -> Iterator[str]:
    """JW-006: the key is said to be elsewhere."""
    stranger = ECKey.generate_key("P-256")
    for header in (
        {"jku": f"{place}/k"}, {"jku": f"https://client.example/redirect?to={place}/k"},
        {"jku": "http://169.254.169.254/"}, {"x5u": f"{place}/c.pem"}, {"x5u": "file:///etc/passwd"},
    ):  # fmt: skip
        yield jws.sign(right.header | header, right.claims, stranger)
        yield right.text(header)


def critical(right: Right) -> Iterator[str]:
    """JW-007: whoever does not understand it must refuse it."""
    for value in (["bork"], [], "b64", ["alg"], ["missing"], ["exp", "exp"], {}, None):
        yield right.text({"crit": value, "bork": 1})


def unencoded(right: Right) -> Iterator[str]:
    """JW-008: the payload is said to be no base64url, or is not there."""
    head = part(right.header | {"b64": False, "crit": ["b64"]})
    yield right.signed(head, part(right.claims))
    yield right.signed(part(right.header | {"b64": False}), part(right.claims))
    yield right.signed(head, json.dumps(right.claims).replace(".", ""))
    signed = right.signed(head, part(right.claims)).split(".")
    yield f"{signed[0]}..{signed[2]}"


def costly(right: Right) -> Iterator[str]:
    """JW-010: an encrypted one that would take its reader a long time."""
    for count in (2147483647, -1, 0, 1e9, None):
        header = {"alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", "p2s": b64u(b"salt"), "p2c": count}
        yield ".".join([part(header), b64u(bytes(40)), b64u(bytes(16)), part(right.claims), b64u(bytes(16))])


def encrypted(right: Right) -> Iterator[str]:
    """JW-013: the claims encrypted to the signer's public key, or a shared one, and signed by nobody."""
    claims = json.dumps(right.claims).encode()
    unsigned = f"{part({'alg': 'none'})}.{part(right.claims)}.".encode()
    kid = {"kid": right.header["kid"]}
    public = ECKey.import_key(right.key.as_dict(private=False))
    for plain, more in ((claims, {}), (unsigned, {"cty": "JWT"}), (right.text().encode(), {"cty": "JWT"})):
        header = {"enc": "A128GCM", **kid, **more}
        yield jwe.encrypt_compact({"alg": "ECDH-ES"} | header, plain, public)
        yield jwe.encrypt_compact({"alg": "dir"} | header, plain, OctKey.generate_key(128))
        rsa = RSAKey.generate_key(2048)
        yield jwe.encrypt_compact({"alg": "RSA-OAEP"} | header, plain, rsa)


def oversized(right: Right) -> Iterator[str]:
    """JW-014: more than 16 kB, in each of the three parts."""
    head, payload, signature = right.text().split(".")
    yield right.text({"x": "x" * 20_000})
    yield f"{head}.{payload}.{signature}{'A' * 20_000}"
    yield right.text(**{f"c{n}": n for n in range(2_000)})
    yield f"{b64u(b'{' + b'[' * 15_000)}.{payload}.{signature}"


def bad_signature(right: Right) -> Iterator[str]:
    """JW-018: numbers out of range, other encodings, another curve."""
    text = right.text().rpartition(".")[0]
    r, s = right._numbers(text)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    der = utils.encode_dss_signature(r, s)
    other = ECKey.generate_key("P-384").get_op_key("sign").sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    r384, s384 = utils.decode_dss_signature(other)
    for signature in (
        bytes(64), ORDER.to_bytes(32, "big") * 2, der, raw[:63], raw + b"\0",
        s.to_bytes(32, "big") + raw[:32],
        r384.to_bytes(48, "big") + s384.to_bytes(48, "big"), raw * 2, b"\0" + raw, bytes(32) + raw[32:],
    ):  # fmt: skip
        yield f"{text}.{b64u(signature)}"


def other_algorithms(right: Right) -> Iterator[str]:
    """JW-020: a valid signature by a stranger, of a kind that is not asked for, under the signer's kid."""
    curves = {"ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}
    for alg in ("RS256", "RS384", "ES384", "ES512", "HS256", "ES256K"):
        if alg in curves:
            key: Any = ECKey.generate_key(curves[alg])
        else:
            key = OctKey.generate_key(256) if alg == "HS256" else RSAKey.generate_key(2048)
        yield jws.sign(right.header | {"alg": alg}, right.claims, key)


def odd_expiry(right: Right) -> Iterator[str]:
    """JW-021: an end that is no time."""
    for value in (
        "9999999999", True, float("inf"), float("nan"), 1e308, -1, str(clock.now() + 60), [], None, {},
    ):  # fmt: skip
        yield right.text(exp=value)
    missing = {name: value for name, value in right.claims.items() if name != "exp"}
    yield jws.sign(right.header, missing, right.key)
    payload = json.dumps(right.claims)[:-1] + ', "exp2": 1e400}'
    yield right.signed(part(right.header), b64u(payload.encode()))


def odd_compact(right: Right) -> Iterator[str]:
    """JW-029: a dot too many, too few, or something around it."""
    head, payload, signature = right.text().split(".")
    whole = f"{head}.{payload}.{signature}"
    yield from (
        f"{head}.{payload}.", f"{head}.{payload}", f"{head}..{signature}", f"{whole}.", f"{whole}.x",
        f"{whole}=", f".{payload}.{signature}", f"{head}.{payload}=.{signature}",
        f"{head}..{payload}.{signature}",
    )  # fmt: skip


FORGERIES: dict[str, Callable[[Right], Iterator[str]]] = {
    made.__name__: made
    for made in (
        alg_none, hmac_with_public_key, embedded_key, critical, unencoded, costly, encrypted, oversized,
        bad_signature, other_algorithms, odd_expiry, odd_compact,
    )
}  # fmt: skip
