"""The strict form of JWTs, before any signature is looked at."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from authserver import crypto, jws

KEY = ECKey.generate_key("P-256")
CLAIMS = {"iss": "me", "exp": 1}


def signed(header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
    return jwt.encode(
        {"alg": "ES256", "typ": "at+jwt"} | (header or {}), claims or CLAIMS, KEY, algorithms=["ES256"]
    )


def raw(header: str, payload: str = '{"iss":"me"}', signature: bytes = b"s" * 64) -> str:
    return ".".join(crypto.b64u(part) for part in (header.encode(), payload.encode(), signature))


def reason(text: str) -> str:
    with pytest.raises(jws.Rejected) as caught:
        jws.parse(text, typ=["at+jwt"], algs=["ES256"]).verify(KEY, "ES256")
    return caught.value.reason


def test_a_sound_token_gives_its_claims() -> None:
    token = jws.parse(signed(), typ=["at+jwt"], algs=["ES256"])
    assert token.verify(KEY, "ES256") == CLAIMS
    assert jws.parse(signed({"typ": "Application/AT+JWT"}), typ=["at+jwt"], algs=["ES256"])


@pytest.mark.spec("RFC 8725", "3.1")
@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "none ", "", None, 1, ["ES256"], "HS256", "RS256"]
)
def test_no_other_algorithm_is_accepted_in_any_spelling(alg: Any) -> None:
    assert reason(raw(json.dumps({"alg": alg, "typ": "at+jwt"}))) == "alg_not_allowed"


@pytest.mark.spec("RFC 8725", "2.1")
def test_a_token_keyed_with_the_public_key_is_refused() -> None:
    head = raw(json.dumps({"alg": "HS256", "typ": "at+jwt"})).rpartition(".")[0]
    for secret in (KEY.as_pem(private=False), json.dumps(KEY.as_dict(private=False)).encode()):
        forged = head + "." + crypto.b64u(hmac.digest(secret, head.encode(), "sha256"))
        assert reason(forged) == "alg_not_allowed"


@pytest.mark.spec("RFC 7515", "4.1.11")
@pytest.mark.parametrize("crit", [["bork"], [], "b64", ["alg"], {}, None])
def test_critical_headers_are_refused(crit: Any) -> None:
    assert reason(raw(json.dumps({"alg": "ES256", "typ": "at+jwt", "crit": crit}))) == "crit"


@pytest.mark.parametrize("name", ["jwk", "x5c", "jku", "x5u"])
def test_a_key_that_the_token_brings_along_is_not_trusted(name: str) -> None:
    assert reason(raw(json.dumps({"alg": "ES256", "typ": "at+jwt", name: "x"}))) == "key_not_trusted"


def test_another_type_is_refused() -> None:
    for typ in ("JWT", "at+jwt ", "", None, 7, "revocations+jwt"):
        assert reason(raw(json.dumps({"alg": "ES256", "typ": typ}))) == "typ"


@pytest.mark.spec("RFC 7515", "7.1")
def test_only_the_strict_compact_form_is_read() -> None:
    h, p, s = signed().split(".")
    for text in (
        f"{h}.{p}.",
        f"{h}.{p}",
        f"{h}..{s}",
        f"{h}.{p}.{s}.",
        f"{h}.{p}.{s}.x",
        f" {h}.{p}.{s}",
        f"{h}.{p}.{s}\n",
        f"{h}.{p}.{s}=",
        f".{p}.{s}",
        "",
        "a",
        "..",
        f"{h}.{p}.{s}é",
        f"{h}.{p}+.{s}",
    ):
        assert reason(text) == "format", text


def test_json_that_python_reads_too_kindly_is_refused() -> None:
    good = '{"alg":"ES256","typ":"at+jwt"}'
    for header in ('{"alg":"none","alg":"ES256","typ":"at+jwt"}', "[]", "1", '"x"', "{", "null"):
        assert reason(raw(header)) == "format", header
    for payload in (
        '{"exp":NaN}',
        '{"exp":Infinity}',
        '{"exp":1e400}',
        '{"a":1,"a":2}',
        "[1]",
        "[" * 6000 + "]" * 6000,
    ):
        assert reason(raw(good, payload)) == "format", payload[:40]
    assert (
        reason(crypto.b64u(good.encode()) + "." + crypto.b64u(b"\xff{}") + "." + crypto.b64u(b"s" * 64))
        == "format"
    )


def test_oversized_and_encrypted_tokens_are_refused_before_they_are_read() -> None:
    assert reason("a" * (jws.MAX_BYTES + 1)) == "too_large"
    assert reason("a.b.c.d.e") == "jwe"


def test_signatures_that_are_no_signatures_are_refused() -> None:
    h, p, s = signed().split(".")
    signature = crypto.b64u_decode(s)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    n = order.to_bytes(32, "big")
    for bad in (
        bytes(64),
        n + n,
        signature[:63],
        signature + b"\0",
        signature[32:] + signature[:32],
        b"\x30\x06" + signature[:6],
    ):
        assert reason(f"{h}.{p}.{crypto.b64u(bad)}") == "signature"


@pytest.mark.parametrize("value", ["9999999999", True, None, [], -1, float(2**60), "now"])
def test_a_numeric_date_is_a_number_in_range(value: Any) -> None:
    with pytest.raises(jws.Rejected) as caught:
        jws.numeric_date({"exp": value}, "exp")
    assert caught.value.reason == "exp"
    with pytest.raises(jws.Rejected):
        jws.numeric_date({}, "exp")
    assert jws.numeric_date({"exp": 12.5}, "exp") == 12
