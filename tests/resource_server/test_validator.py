"""Offline validation: what is accepted, and every way to be refused."""

import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from resource_server.signing import AUDIENCE, NOW, SigningKey, b64, claims, encode, jwks

from authserver.resource_server import (
    InsufficientScope,
    InvalidToken,
    Reason,
    Rules,
    StaticKeys,
    Validator,
)

ISSUER = "https://as.example"
KEY = SigningKey("key-1")
EDDSA = SigningKey("key-2", "EdDSA")
PS256 = SigningKey("key-3", "PS256")
ES384 = SigningKey("key-4", "ES384")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def validator(**rules: object) -> Validator:
    return Validator(
        issuer=ISSUER,
        audience=AUDIENCE,
        keys=StaticKeys(jwks(KEY, EDDSA, PS256, ES384)),
        rules=Rules(clock=lambda: NOW, **rules),  # type: ignore[arg-type]
    )


def token(header: object = None, **changes: object) -> str:
    return KEY.jwt(claims(ISSUER, NOW, **changes), header)


def refusal(text: str, **rules: object) -> Reason:
    with pytest.raises(InvalidToken) as caught:
        validator(**rules).validate(text)
    return caught.value.reason


def test_a_good_token_becomes_typed_claims() -> None:
    details = [{"type": "payment_initiation", "amount": "1.00"}]
    text = token(acr="urn:authserver:acr:mfa", authorization_details=details, extra=1)
    found = validator().validate(text, scope="payments:read")
    assert (found.subject, found.client_id, found.jti, found.gid) == (
        "client-1",
        "client-1",
        "token-1",
        "grant-1",
    )
    assert found.scopes == {"payments:read", "payments:initiate"}
    assert (found.expires_at, found.issued_at, found.audience) == (NOW + 300, NOW, (AUDIENCE,))
    assert (found.acr, found.cnf) == ("urn:authserver:acr:mfa", None)
    assert found.authorization_details[0]["type"] == "payment_initiation"
    assert found.claims["extra"] == 1


def test_the_typed_token_cannot_be_changed() -> None:
    found = validator().validate(token())
    with pytest.raises(AttributeError):
        found.scopes = frozenset({"refunds:create"})  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.claims["scope"] = "refunds:create"  # type: ignore[index]


@pytest.mark.parametrize("key", [KEY, EDDSA, PS256], ids=lambda key: key.alg)
def test_each_default_algorithm_is_accepted(key: SigningKey) -> None:
    assert validator().validate(key.jwt(claims(ISSUER, NOW))).client_id == "client-1"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt"])
def test_both_spellings_of_the_type_are_accepted(typ: str) -> None:
    assert validator().validate(token({"typ": typ}))


@pytest.mark.parametrize(
    "typ", [None, "JWT", "jwt", "at+JWT ", "id_token", "", 1, ["at+jwt"], {}, "dpop+jwt"]
)
def test_any_other_type_is_refused(typ: object) -> None:
    assert refusal(token({"typ": typ})) is Reason.TYPE


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", " none", "none\x00", "", None, 0, ["ES256"], {}]
)
def test_every_spelling_of_none_is_refused(alg: object) -> None:
    header = {"typ": "at+jwt", "kid": "key-1", "alg": alg}
    signing_input = f"{encode(header)}.{encode(claims(ISSUER, NOW))}"
    assert refusal(f"{signing_input}.AA") is Reason.ALGORITHM
    assert refusal(f"{signing_input}.") is Reason.FORM


def public_key_as_secret() -> list[bytes]:
    pem = KEY.key.as_pem(private=False)
    return [pem, pem.strip(), KEY.key.as_der(private=False), json.dumps(KEY.jwk).encode(), b""]


@pytest.mark.parametrize("secret", public_key_as_secret(), ids=["pem", "stripped", "der", "jwk", "empty"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "hs256"])
def test_a_mac_keyed_with_the_public_key_is_refused(secret: bytes, alg: str) -> None:
    digest = {"256": "sha256", "384": "sha384", "512": "sha512"}[alg[2:]]
    header = {"typ": "at+jwt", "kid": "key-1", "alg": alg}
    signing_input = f"{encode(header)}.{encode(claims(ISSUER, NOW))}"
    mac = b64(hmac.digest(secret, signing_input.encode(), digest))
    assert refusal(f"{signing_input}.{mac}") is Reason.ALGORITHM


@pytest.mark.parametrize("alg", ["HS256", "none", "RS256", "ES256K", "made-up"])
def test_rules_cannot_allow_an_unsafe_algorithm(alg: str) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        Rules(algorithms=frozenset({"ES256", alg}))


def test_an_algorithm_outside_the_allow_list_is_refused_though_its_key_is_published() -> None:
    text = ES384.jwt(claims(ISSUER, NOW))
    assert refusal(text) is Reason.ALGORITHM
    allowing = validator(algorithms=frozenset({"ES384"}))
    assert allowing.validate(text)


def test_the_algorithm_of_the_header_must_be_that_of_the_key() -> None:
    assert refusal(EDDSA.jwt(claims(ISSUER, NOW), {"kid": "key-1"})) is Reason.ALGORITHM
    assert refusal(KEY.jwt(claims(ISSUER, NOW), {"kid": "key-3"})) is Reason.ALGORITHM
    assert refusal(KEY.jwt(claims(ISSUER, NOW), {"alg": "EdDSA"})) is Reason.ALGORITHM


@pytest.mark.parametrize("member", ["jwk", "jku", "x5c", "x5u"])
def test_a_header_that_brings_its_own_key_is_refused(member: str) -> None:
    intruder = SigningKey("key-1")
    value = {"jwk": intruder.jwk, "jku": "https://evil.example/jwks", "x5c": ["AA"], "x5u": "https://e.x"}[
        member
    ]
    assert refusal(intruder.jwt(claims(ISSUER, NOW), {member: value})) is Reason.FOREIGN_KEY
    assert refusal(token({member: value})) is Reason.FOREIGN_KEY


@pytest.mark.parametrize(
    "header", [{"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": ["exp"]}, {"b64": True}]
)
def test_critical_extensions_are_refused(header: dict[str, object]) -> None:
    assert refusal(token(header)) is Reason.CRITICAL


@pytest.mark.parametrize(
    "kid", [None, "", 1, ["key-1"], {"key-1": 1}, "key-9", "KEY-1", "key-1 ", "../key-1"]
)
def test_a_missing_or_unknown_kid_is_refused(kid: object) -> None:
    assert refusal(token({"kid": kid})) is Reason.KEY


def test_a_key_of_the_same_name_made_by_someone_else_does_not_verify() -> None:
    assert refusal(SigningKey("key-1").jwt(claims(ISSUER, NOW))) is Reason.SIGNATURE


def malformed_signatures() -> dict[str, bytes]:
    good = KEY.sign(b"x")
    return {
        "r and s are zero": bytes(64),
        "r is zero": bytes(32) + good[32:],
        "s is zero": good[:32] + bytes(32),
        "r and s are the order": ORDER.to_bytes(32) * 2,
        "r is above the order": b"\xff" * 32 + good[32:],
        "der": KEY.key.private_key.sign(b"x", ECDSA(SHA256())),
        "63 bytes": good[:-1],
        "65 bytes": good + b"\0",
        "one byte": b"\0",
        "96 bytes": bytes(96),
        "of another text": good,
    }


@pytest.mark.parametrize("name", malformed_signatures())
def test_a_malformed_ecdsa_signature_is_refused(name: str) -> None:
    signing_input = token().rpartition(".")[0]
    assert refusal(f"{signing_input}.{b64(malformed_signatures()[name])}") is Reason.SIGNATURE


@pytest.mark.parametrize("key", [EDDSA, PS256], ids=lambda key: key.alg)
@pytest.mark.parametrize(
    "signature", [b"\0", bytes(63), bytes(64), bytes(65), bytes(255), bytes(256), bytes(257)]
)
def test_a_malformed_signature_of_another_kind_is_refused(key: SigningKey, signature: bytes) -> None:
    signing_input = key.jwt(claims(ISSUER, NOW)).rpartition(".")[0]
    assert refusal(f"{signing_input}.{b64(signature)}") is Reason.SIGNATURE


def test_a_changed_claim_breaks_the_signature() -> None:
    header, _payload, signature = token().split(".")
    raised = encode(claims(ISSUER, NOW, scope="refunds:create"))
    assert refusal(f"{header}.{raised}.{signature}") is Reason.SIGNATURE


GOOD = token()
HEAD, BODY, TAIL = GOOD.split(".")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        HEAD,
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}..{TAIL}",
        f".{BODY}.{TAIL}",
        f"{GOOD}.",
        f".{GOOD}",
        f"{GOOD}.AA",
        f"{GOOD}.AA.AA",
        f"{GOOD}\n",
        f" {GOOD}",
        f"{GOOD}=",
        f"{HEAD}=.{BODY}.{TAIL}",
        f"{HEAD}.{BODY}.{TAIL[:-2]}+/",
        f"{HEAD}.{BODY}.{TAIL[:-1]}é",
        f"{HEAD}.{BODY}.{TAIL[:-1]}\0",
        json.dumps({"payload": BODY, "protected": HEAD, "signature": TAIL}),
    ],
)
def test_a_text_that_is_not_three_full_parts_is_refused(text: str) -> None:
    assert refusal(text) is Reason.FORM


def test_stray_bits_at_the_end_of_a_part_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(TAIL[-1]) ^ 1]
    assert refusal(f"{HEAD}.{BODY}.{TAIL[:-1]}{twin}") is Reason.FORM


@pytest.mark.parametrize(
    "header",
    [
        b'{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"key-1"}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","kid":"key-1"}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","x":NaN}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","x":Infinity}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","x":1e999}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"key-1","x":"\\ud800"}',
        b'{"typ":"at+jwt","alg":"ES256","kid":"\xff"}',
        b'\xef\xbb\xbf{"typ":"at+jwt","alg":"ES256","kid":"key-1"}',
        '{"typ":"at+jwt","alg":"ES256","kid":"key-1"}'.encode("utf-16"),
        b"[]",
        b"null",
        b"1",
        b'"at+jwt"',
        b"{",
        b"{}{}",
        b"[" * 8000,
        b'{"a":' * 2000,
    ],
)
def test_a_header_that_is_not_one_plain_object_is_refused(header: bytes) -> None:
    assert refusal(KEY.jwt(claims(ISSUER, NOW), header)) is Reason.HEADER


@pytest.mark.parametrize(
    "payload",
    [
        b'{"aud":"x","aud":"y"}',
        b'{"exp":NaN}',
        b'{"exp":-Infinity}',
        b'{"exp":1e999}',
        b'{"a":{"b":1,"b":2}}',
        b"[]",
        b"x",
        b"\xff",
        b"[" * 11000,
        b'{"exp":' + b"9" * 5000 + b"}",
    ],
)
def test_claims_that_are_not_one_plain_object_are_refused(payload: bytes) -> None:
    assert refusal(KEY.jwt(payload)) is Reason.CLAIMS


def test_a_token_over_the_size_limit_is_refused_before_anything_else() -> None:
    assert refusal("A" * 16_385) is Reason.SIZE
    assert refusal(token(extra="A" * 20_000)) is Reason.SIZE
    assert refusal(GOOD, max_bytes=100) is Reason.SIZE


@pytest.mark.parametrize(
    "iss", [..., None, "", f"{ISSUER}/", "https://AS.example", "http://as.example", [ISSUER], 1]
)
def test_any_other_issuer_is_refused(iss: object) -> None:
    assert refusal(token(iss=iss)) is Reason.ISSUER


@pytest.mark.parametrize(
    "aud",
    [
        ...,
        None,
        "",
        [],
        f"{AUDIENCE}/",
        AUDIENCE.upper(),
        AUDIENCE[:-1],
        f"{AUDIENCE} https://other.example",
        ["https://api.example"],
        [AUDIENCE, 1],
        [AUDIENCE, ""],
        [[AUDIENCE]],
        {AUDIENCE: True},
        True,
        "client-1",
    ],
)
def test_a_token_for_another_api_is_refused(aud: object) -> None:
    assert refusal(token(aud=aud)) is Reason.AUDIENCE


def test_one_of_several_audiences_is_enough() -> None:
    found = validator().validate(token(aud=["https://as.example", AUDIENCE]))
    assert found.audience == ("https://as.example", AUDIENCE)


BAD_TIMES = [
    None,
    "",
    str(NOW + 300),
    True,
    False,
    0,
    -1,
    float(NOW + 300),
    1e308,
    1e15,
    [NOW],
    {},
    10**400,
    10**13,
]


@pytest.mark.parametrize("value", BAD_TIMES, ids=repr)
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_a_time_that_is_no_whole_number_of_seconds_is_refused(claim: str, value: object) -> None:
    assert refusal(token(**{claim: value})) is Reason.TIME


@pytest.mark.parametrize("claim", ["exp", "iat"])
def test_a_missing_time_is_refused(claim: str) -> None:
    assert refusal(token(**{claim: ...})) is Reason.TIME


def test_a_token_holds_until_its_expiry_and_the_leeway_and_no_second_longer() -> None:
    assert validator().validate(token(exp=NOW - 4))
    assert refusal(token(exp=NOW - 5)) is Reason.EXPIRED
    assert refusal(token(exp=NOW), leeway=0) is Reason.EXPIRED
    assert validator(leeway=0).validate(token(exp=NOW + 1))


def test_a_token_of_the_future_is_refused_beyond_the_leeway() -> None:
    assert validator().validate(token(nbf=NOW + 5))
    assert refusal(token(nbf=NOW + 6)) is Reason.NOT_YET
    assert validator().validate(token(iat=NOW + 60))
    assert refusal(token(iat=NOW + 61)) is Reason.NOT_YET


@pytest.mark.parametrize("leeway", [-1, 61])
def test_a_leeway_out_of_reason_is_refused_at_the_start(leeway: int) -> None:
    with pytest.raises(ValueError, match="leeway"):
        Rules(leeway=leeway)


@pytest.mark.parametrize("value", [..., None, "", 1, True, ["x"], {}, "x" * 256, "a\nb", "a\0b"], ids=repr)
@pytest.mark.parametrize("claim", ["sub", "client_id", "jti"])
def test_a_name_that_is_missing_or_malformed_is_refused(claim: str, value: object) -> None:
    assert refusal(token(**{claim: value})) is Reason.IDENTITY


@pytest.mark.parametrize("gid", [None, "", 1, ["x"]])
def test_a_malformed_authorization_id_is_refused(gid: object) -> None:
    assert refusal(token(gid=gid)) is Reason.IDENTITY


@pytest.mark.parametrize(
    "scope", [None, "", " ", 1, ["payments:read"], {}, "a  b", " a", "a ", "a\tb", 'a"b', "é"]
)
def test_a_malformed_scope_is_refused(scope: object) -> None:
    assert refusal(token(scope=scope)) is Reason.SCOPE


def test_a_token_without_scope_has_none() -> None:
    assert validator().validate(token(scope=...)).scopes == frozenset()


@pytest.mark.parametrize(
    "needed", ["refunds:create", "payments:read refunds:create", "payments", "PAYMENTS:READ"]
)
def test_a_lacking_scope_is_told_apart_from_a_bad_token(needed: str) -> None:
    with pytest.raises(InsufficientScope) as caught:
        validator().validate(token(), scope=needed)
    assert caught.value.scope == needed


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None, "x"])
def test_a_sender_constrained_token_is_refused_as_a_bearer_token(cnf: object) -> None:
    assert refusal(token(cnf=cnf)) is Reason.SENDER_CONSTRAINED


@pytest.mark.parametrize("details", ["x", {}, [1], [{}], [{"type": 1}], None])
def test_malformed_authorization_details_are_refused(details: object) -> None:
    assert refusal(token(authorization_details=details)) is Reason.CLAIMS


def test_a_refusal_never_repeats_what_the_caller_sent() -> None:
    marker = "zq9-marker"
    for text in (
        marker,
        token({"kid": marker}),
        token(iss=marker),
        token(aud=marker),
        token(sub=f"{marker}\n"),
    ):
        with pytest.raises(InvalidToken) as caught:
            validator().validate(text)
        assert marker not in str(caught.value) + caught.value.description


def test_an_id_token_and_a_revocation_list_are_no_access_tokens() -> None:
    id_token = claims(ISSUER, NOW, aud="client-1", nonce="n")
    assert refusal(KEY.jwt(id_token, {"typ": "JWT"})) is Reason.TYPE
    revocations = {"iss": ISSUER, "iat": NOW, "exp": NOW + 300, "jtis": {}, "gids": {}}
    assert refusal(KEY.jwt(revocations, {"typ": "revocations+jwt"})) is Reason.TYPE
