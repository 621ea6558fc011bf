"""Client assertions (RFC 7523) that prove nothing: each by the name of what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from assertions import ABSENT, Signer
from plugins.app import World

from authserver import clock

from .forge import b64u, claims_of, hmac_signed, part

# both have a key of this name: whose it is decides
SIGNERS = {"web_pkjwt": Signer(), "web_pkjwt2": Signer()}
STRANGER = Signer()
Trick = Callable[[World, Signer, str], str]


def assertion(world: World, client: str, trick: str = "") -> str:
    """An assertion of ``client``; a good one unless a ``trick`` is named."""
    signer = SIGNERS[client]
    return TRICKS[trick](world, signer, client) if trick else signer.assertion(world, client)


def _claims(**changes: Any) -> Trick:
    return lambda world, signer, client: signer.assertion(world, client, **changes)


def _times(**after: float) -> Trick:
    """Claims so many seconds from now."""
    return lambda world, signer, client: signer.assertion(
        world, client, **{name: clock.now() + seconds for name, seconds in after.items()}
    )


def _header(**changes: Any) -> Trick:
    """Another header over claims that are right, under a signature that was made for the right one."""

    def make(world: World, signer: Signer, client: str) -> str:
        head, payload, signature = signer.assertion(world, client).split(".")
        del head
        return f"{part({'alg': 'ES256', 'kid': signer.kid} | changes)}.{payload}.{signature}"

    return make


def _by(other: Signer) -> Trick:
    return lambda world, _, client: other.assertion(world, client)


def _hs256(secret: Callable[[World, Signer], bytes]) -> Trick:
    def make(world: World, signer: Signer, client: str) -> str:
        return hmac_signed(
            {"alg": "HS256", "kid": signer.kid},
            claims_of(signer.assertion(world, client)),
            secret(world, signer),
        )

    return make


def _unsigned(alg: str, *, dot: bool = True) -> Trick:
    def make(world: World, signer: Signer, client: str) -> str:
        payload = signer.assertion(world, client).split(".")[1]
        return f"{part({'alg': alg, 'kid': signer.kid})}.{payload}" + ("." if dot else "")

    return make


def _audience(of: Callable[[str], Any]) -> Trick:
    return lambda world, signer, client: signer.assertion(
        world, client, aud=of(world.services.settings.issuer)
    )


def _changed(world: World, signer: Signer, client: str) -> str:
    head, payload, signature = signer.assertion(world, client).split(".")
    claims = json.dumps(claims_of(f".{payload}.") | {"jti": "another"}).encode()
    return f"{head}.{b64u(claims)}.{signature}"


TRICKS: dict[str, Trick] = {
    "sub_absent": _claims(sub=ABSENT),
    "sub_other": _claims(sub="web_pkjwt2"),
    "sub_empty": _claims(sub=""),
    "sub_capitals": _claims(sub="WEB_PKJWT"),
    "sub_list": _claims(sub=["web_pkjwt"]),
    "sub_number": _claims(sub=7),
    "sub_null": _claims(sub=None),
    "sub_space": _claims(sub="web_pkjwt "),
    "iss_absent": _claims(iss=ABSENT),
    "iss_other": _claims(iss="web_pkjwt2"),
    "iss_server": lambda w, s, c: s.assertion(w, c, iss=w.services.settings.issuer),
    "iss_list": _claims(iss=["web_pkjwt"]),
    "both_other": _claims(iss="web_pkjwt2", sub="web_pkjwt2"),
    "both_secret_client": _claims(iss="web1", sub="web1"),
    "both_public": _claims(iss="spa1", sub="spa1"),
    "both_nobody": _claims(iss="nobody", sub="nobody"),
    "exp_300_ago": _times(exp=-300),
    "exp_61_ago": _times(exp=-61),
    "exp_now": _times(exp=0),
    "exp_absent": _claims(exp=ABSENT),
    "exp_far": _times(exp=3600),
    "exp_text": _claims(exp="9999999999"),
    "exp_true": _claims(exp=True),
    "exp_null": _claims(exp=None),
    "exp_huge": _claims(exp=2**63),
    "exp_negative": _claims(exp=-1),
    "nbf_later": _times(nbf=60, exp=120),
    "iat_later": _times(iat=60, exp=120),
    "aud_absent": _claims(aud=ABSENT),
    "aud_token_endpoint": _audience(lambda issuer: f"{issuer}/token"),
    "aud_list": _audience(lambda issuer: [issuer]),
    "aud_two": _audience(lambda issuer: [issuer, "https://other.example"]),
    "aud_slash": _audience(lambda issuer: f"{issuer}/"),
    "aud_other": _claims(aud="https://other.example"),
    "aud_client": _claims(aud="web_pkjwt"),
    "jti_absent": _claims(jti=ABSENT),
    "jti_empty": _claims(jti=""),
    "jti_number": _claims(jti=7),
    "jti_long": _claims(jti="j" * 5000),
    "by_another_client": _by(SIGNERS["web_pkjwt2"]),
    "by_a_stranger": _by(STRANGER),
    "claims_changed": _changed,
    "kid_other": _header(kid="k2"),
    "kid_path": _header(kid="../../../dev/null"),
    "kid_sql": _header(kid="' OR 1=1 --"),
    "kid_list": _header(kid=["k1"]),
    "jwk": _header(jwk=STRANGER.public()),
    "jku": _header(jku="http://127.0.0.1:9/jwks"),
    "x5u": _header(x5u="http://127.0.0.1:9/cert"),
    "crit": _header(crit=["exp"]),
    "b64": _header(b64=False, crit=["b64"]),
    "typ_access_token": _header(typ="at+jwt"),
    "typ_id_token": _header(typ="id_token+jwt"),
    "alg_rs256": _header(alg="RS256"),
    "alg_list": _header(alg=["ES256"]),
    "alg_lower": _header(alg="es256"),
    "none": _unsigned("none"),
    "none_capitals": _unsigned("NONE"),
    "none_mixed": _unsigned("nOnE"),
    "none_space": _unsigned("none "),
    "no_signature": _unsigned("ES256"),
    "two_parts": _unsigned("ES256", dot=False),
    "hs256_secret": _hs256(lambda w, _: w.secrets["web1"].encode()),
    "hs256_pem": _hs256(lambda _, s: s.key.as_pem(private=False)),
    "hs256_jwk": _hs256(lambda _, s: json.dumps(s.public()).encode()),
    "hs256_nothing": _hs256(lambda _, __: b""),
}
