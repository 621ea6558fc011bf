"""Tokens that were never issued as access tokens: each made from a real one, by the name of its trick."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc import jwt
from joserfc.jwk import ECKey
from plugins.app import World
from sqlalchemy import select

from authserver import clock
from authserver.audit.chain import CHECKPOINT_TYP, checkpoints
from authserver.keys import Key

Forgery = Callable[[World, str], str]


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Any) -> str:
    return b64u(json.dumps(value, separators=(",", ":")).encode())


def header_of(token: str) -> dict[str, Any]:
    return _object(token.split(".", maxsplit=1)[0])


def claims_of(token: str) -> dict[str, Any]:
    return _object(token.split(".")[1])


def _object(segment: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


def active_key(world: World) -> Key:
    return next(key for key in world.services.keys.published() if key.state == "active")


def signed(key: Any, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def by_server(world: World, token: str, typ: str = "at+jwt", **claims: Any) -> str:
    """A JWT with the server's own signature: what a bug elsewhere could make it sign."""
    merged = {k: v for k, v in (claims_of(token) | claims).items() if v is not None}
    return world.services.keys.sign(typ, merged, active_key(world).alg)


def with_header(world: World, token: str, **header: Any) -> str:
    """The claims of ``token`` under a header the server never writes, signed right all the same."""
    key = active_key(world).pair.get_op_key("sign")
    text = f"{part(header_of(token) | header)}.{token.split('.')[1]}"
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _stranger(world: World, token: str, **header: Any) -> str:
    return signed(ECKey.generate_key("P-256"), header_of(token) | header, claims_of(token))


def _embedded_jwk(world: World, token: str) -> str:
    key = ECKey.generate_key("P-256")
    return signed(key, header_of(token) | {"jwk": key.as_dict(private=False)}, claims_of(token))


def hmac_signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A JWT under a shared secret, whatever its header says."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{b64u(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def _hmac(world: World, token: str, secret: bytes) -> str:
    return hmac_signed(header_of(token) | {"alg": "HS256"}, claims_of(token), secret)


def _unsecured(world: World, token: str, alg: str = "none") -> str:
    return f"{part(header_of(token) | {'alg': alg})}.{token.split('.')[1]}."


def _changed(world: World, token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{part(claims_of(token) | {'scope': 'payments:initiate refunds:create'})}.{signature}"


def _zero_signature(world: World, token: str) -> str:
    return ".".join([*token.split(".")[:2], b64u(bytes(64))])


def _flattened(world: World, token: str) -> str:
    head, payload, signature = token.split(".")
    return json.dumps({"protected": head, "payload": payload, "signature": signature})


def _checkpoint(world: World, token: str) -> str:
    world.services.sealer.seal()
    with world.services.database.reading() as connection:
        text = connection.execute(select(checkpoints.c.jws)).scalars().first()
    assert text is not None and header_of(text)["typ"] == CHECKPOINT_TYP
    return text


def _twice(world: World, token: str) -> str:
    """A payload with a member twice, properly signed by nobody."""
    payload = json.dumps(claims_of(token))[:-1] + ', "client_id": "web1"}'
    head, _, signature = token.split(".")
    return ".".join([head, b64u(payload.encode()), signature])


def _deep(world: World, token: str) -> str:
    return ".".join([b64u(b'{"alg":' + b"[" * 5000), *token.split(".")[1:]])


FORGERIES: dict[str, Forgery] = {
    # not one of the server's keys
    "unknown_kid": lambda w, t: _stranger(w, t, kid="nobody"),
    "stolen_kid": _stranger,
    "no_kid": lambda w, t: signed(
        ECKey.generate_key("P-256"), {"alg": "ES256", "typ": "at+jwt"}, claims_of(t)
    ),
    "kid_is_a_path": lambda w, t: _stranger(w, t, kid="../../../../dev/null"),
    "kid_is_sql": lambda w, t: _stranger(w, t, kid="' OR 1=1 --"),
    "embedded_jwk": _embedded_jwk,
    "jku": lambda w, t: _stranger(w, t, jku="http://127.0.0.1:9/jwks"),
    "x5u": lambda w, t: _stranger(w, t, x5u="http://127.0.0.1:9/cert"),
    "x5c": lambda w, t: _stranger(w, t, x5c=["MIIB"]),
    "other_issuer": lambda w, t: signed(
        ECKey.generate_key("P-256"), header_of(t), claims_of(t) | {"iss": "https://other.example"}
    ),
    # not one of the server's algorithms
    "none": _unsecured,
    "none_in_capitals": lambda w, t: _unsecured(w, t, "NONE"),
    "alg_absent": lambda w, t: f"{part({'typ': 'at+jwt'})}.{t.split('.')[1]}.{t.split('.')[2]}",
    "alg_is_a_list": lambda w, t: f"{part(header_of(t) | {'alg': ['ES256']})}.{t.split('.', 1)[1]}",
    "other_alg": lambda w, t: f"{part(header_of(t) | {'alg': 'PS256'})}.{t.split('.', 1)[1]}",
    "hs256_with_pem": lambda w, t: _hmac(w, t, active_key(w).pair.as_pem(private=False)),
    "hs256_with_jwk": lambda w, t: _hmac(w, t, json.dumps(active_key(w).public).encode()),
    "hs256_with_nothing": lambda w, t: _hmac(w, t, b""),
    # not what was signed
    "signature_stripped": lambda w, t: t.rpartition(".")[0] + ".",
    "signature_zero": _zero_signature,
    "two_parts": lambda w, t: t.rpartition(".")[0],
    "claims_changed": _changed,
    "claims_twice": _twice,
    "padded": lambda w, t: t + "==",
    "trailing_newline": lambda w, t: t + "\n",
    "leading_space": lambda w, t: " " + t,
    "last_letter_changed": lambda w, t: t[:-1] + ("A" if t[-1] != "A" else "B"),
    "crit": lambda w, t: with_header(w, t, crit=["exp"]),
    "crit_unknown": lambda w, t: with_header(w, t, crit=["x"], x=1),
    "b64_false": lambda w, t: with_header(w, t, b64=False, crit=["b64"]),
    "own_jwk": lambda w, t: with_header(w, t, jwk=active_key(w).public),
    "own_jku": lambda w, t: with_header(w, t, jku=f"{w.services.settings.issuer}/jwks"),
    "typ_absent": lambda w, t: with_header(w, t, typ=""),
    "zip": lambda w, t: f"{part(header_of(t) | {'zip': 'DEF'})}.{t.split('.', 1)[1]}",
    "jwe": lambda w, t: f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..AAAA.AAAA.AAAA",
    "flattened": _flattened,
    "deep": _deep,
    "long": lambda w, t: t + "A" * 20_000,
    # signed by the server, for something else or for another time
    "typ_jwt": lambda w, t: by_server(w, t, "JWT"),
    "typ_id_token": lambda w, t: by_server(w, t, "id_token+jwt"),
    "revocation_list": lambda w, t: w.services.revocations.signed_list().jws,
    "checkpoint": _checkpoint,
    "expired": lambda w, t: by_server(w, t, iat=clock.now() - 600, exp=clock.now() - 1),
    "expires_now": lambda w, t: by_server(w, t, exp=clock.now()),
    "not_yet": lambda w, t: by_server(w, t, iat=clock.now() + 60, exp=clock.now() + 300),
    "exp_absent": lambda w, t: by_server(w, t, exp=None),
    "exp_is_text": lambda w, t: by_server(w, t, exp="9999999999"),
    "exp_is_true": lambda w, t: by_server(w, t, exp=True),
    "exp_is_huge": lambda w, t: by_server(w, t, exp=2**63),
    "signed_for_other_issuer": lambda w, t: by_server(w, t, iss="https://other.example"),
    "sub_absent": lambda w, t: by_server(w, t, sub=None),
    "aud_absent": lambda w, t: by_server(w, t, aud=None),
    "aud_is_a_number": lambda w, t: by_server(w, t, aud=7),
    "client_unknown": lambda w, t: by_server(w, t, client_id="nobody"),
    "subject_unknown": lambda w, t: by_server(w, t, sub="nobody"),
    "for_the_api_alone": lambda w, t: by_server(w, t, aud="https://api.example/accounts"),
    # ID tokens of this server, for hints
    "id_expired": lambda w, t: by_server(w, t, "JWT", iat=clock.now() - 600, exp=clock.now() - 300),
    "id_other_issuer": lambda w, t: by_server(w, t, "JWT", iss="https://other.example"),
    "id_no_subject": lambda w, t: by_server(w, t, "JWT", sub=None),
    "id_no_audience": lambda w, t: by_server(w, t, "JWT", aud=None),
    "id_subject_is_a_list": lambda w, t: by_server(w, t, "JWT", sub=["alice"]),
}  # fmt: skip
