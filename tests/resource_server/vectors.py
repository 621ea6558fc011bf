"""Makes docs/test-vectors/access-tokens.json: `PYTHONPATH=tests .venv/bin/python -m resource_server.vectors`.

Keys are new at each run; the ids, the reasons and `now` stay.
"""

import hmac
import json
from pathlib import Path
from typing import Any

from resource_server.signing import AUDIENCE, NOW, SigningKey, b64, claims, encode, jwks

FILE = Path(__file__).parents[2] / "docs" / "test-vectors" / "access-tokens.json"
ISSUER = "https://as.example"
SCOPE = "payments:read"


class Vectors:
    """The vectors, in the order of the checks."""

    def __init__(self) -> None:
        self.es256, self.eddsa = SigningKey("es256-1"), SigningKey("eddsa-1", "EdDSA")
        self.ps256, self.stranger = SigningKey("ps256-1", "PS256"), SigningKey("es256-1")
        self.rows: list[dict[str, Any]] = []
        self.good()
        self.bad_form()
        self.bad_header()
        self.bad_signature()
        self.bad_claims()

    def add(self, name: str, why: str, token: str, reason: str | None, *, revoked: bool = False) -> None:
        row = {"id": name, "why": why, "token": token, "status": 200 if reason is None else 401}
        if reason == "insufficient_scope":
            row["status"] = 403
        self.rows.append({**row, "reason": reason, "uses_revocation_list": revoked})

    def token(self, header: Any = None, **changes: Any) -> str:
        return self.es256.jwt(claims(ISSUER, NOW, **changes), header)

    def good(self) -> None:
        for key in (self.es256, self.eddsa, self.ps256):
            text = key.jwt(claims(ISSUER, NOW))
            self.add(f"good-{key.alg.lower()}", f"valid, signed with {key.alg}", text, None)
        self.add(
            "good-aud-list", "one of several audiences", self.token(aud=["https://x.example", AUDIENCE]), None
        )
        typ = self.token({"typ": "application/at+jwt"})
        self.add("good-typ-long", "the long form of typ", typ, None)
        self.add(
            "good-exp-leeway", "expired 4 s ago, within the leeway of 5 s", self.token(exp=NOW - 4), None
        )
        self.add(
            "good-extra", "unknown claims and header members are ignored", self.token({"x": 1}, y=2), None
        )

    def bad_form(self) -> None:
        good = self.token()
        head, body, tail = good.split(".")
        self.add("form-two-parts", "no signature part", f"{head}.{body}", "form")
        self.add("form-empty-signature", "empty signature part", f"{head}.{body}.", "form")
        self.add("form-four-parts", "a fourth part", f"{good}.AA", "form")
        self.add("form-padding", "base64 padding", f"{good}==", "form")
        self.add("form-line-break", "a line break at the end", f"{good}\n", "form")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = alphabet[alphabet.index(tail[-1]) ^ 1]
        self.add(
            "form-stray-bits",
            "another spelling of the same signature",
            f"{head}.{body}.{tail[:-1]}{twin}",
            "form",
        )
        self.add("size", "more than 16384 characters", self.token(x="A" * 13_000), "size")

    def bad_header(self) -> None:
        twice = b'{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"es256-1"}'
        self.add(
            "header-repeated-member", "alg stands twice", self.es256.jwt(claims(ISSUER, NOW), twice), "header"
        )
        self.add("typ-jwt", "an ID token's typ", self.token({"typ": "JWT"}), "type")
        self.add("typ-missing", "no typ", self.token({"typ": None}), "type")
        for spelling in ("none", "None", "nOnE"):
            header = {"typ": "at+jwt", "alg": spelling, "kid": "es256-1"}
            text = f"{encode(header)}.{encode(claims(ISSUER, NOW))}.AA"
            self.add(f"alg-{spelling}", "an unsigned token", text, "algorithm")
        self.add("alg-hs256", "HS256 keyed with the PEM of the public key", self.mac(), "algorithm")
        self.add(
            "alg-of-another-key",
            "ES256 under the kid of a PS256 key",
            self.token({"kid": "ps256-1"}),
            "algorithm",
        )
        self.add("crit", "a critical extension", self.token({"crit": ["exp"]}), "critical")
        self.add(
            "jwk",
            "brings its own key",
            self.stranger.jwt(claims(ISSUER, NOW), {"jwk": self.stranger.jwk}),
            "foreign_key",
        )
        self.add(
            "jku",
            "names a place for its key",
            self.token({"jku": "https://evil.example/jwks"}),
            "foreign_key",
        )
        self.add("kid-missing", "no kid", self.token({"kid": None}), "key")
        self.add("kid-unknown", "a kid that the JWK Set lacks", self.token({"kid": "other"}), "key")

    def bad_signature(self) -> None:
        signing_input = self.token().rpartition(".")[0]
        head, _body, tail = self.token().split(".")
        raised = encode(claims(ISSUER, NOW, scope="refunds:create"))
        self.add(
            "signature-stranger",
            "another key under a known kid",
            self.stranger.jwt(claims(ISSUER, NOW)),
            "signature",
        )
        self.add(
            "signature-changed-claims", "claims changed after signing", f"{head}.{raised}.{tail}", "signature"
        )
        self.add("signature-zero", "r = s = 0", f"{signing_input}.{b64(bytes(64))}", "signature")
        self.add("signature-short", "63 bytes", f"{signing_input}.{b64(bytes(63))}", "signature")
        der = bytes.fromhex("3006020101020101")
        self.add("signature-der", "DER instead of r and s", f"{signing_input}.{b64(der)}", "signature")

    def bad_claims(self) -> None:
        repeated = json.dumps(claims(ISSUER, NOW)).replace("{", '{"aud":"x",', 1).encode()
        self.add("claims-repeated-member", "aud stands twice", self.es256.jwt(repeated), "claims")
        nan = json.dumps(claims(ISSUER, NOW, x=float("nan"))).encode()
        self.add("claims-nan", "NaN is no JSON", self.es256.jwt(nan), "claims")
        self.add("iss-slash", "the issuer with a slash", self.token(iss=f"{ISSUER}/"), "issuer")
        self.add("aud-other", "for another API", self.token(aud="https://api.example/accounts"), "audience")
        self.add("aud-prefix", "a prefix of the audience", self.token(aud=AUDIENCE[:-1]), "audience")
        self.add("aud-missing", "no audience", self.token(aud=...), "audience")
        for name, value in (
            ("string", str(NOW + 300)),
            ("bool", True),
            ("float", NOW + 300.5),
            ("negative", -1),
        ):
            self.add(f"exp-{name}", "exp is no whole number of seconds", self.token(exp=value), "time")
        self.add("exp-missing", "no exp", self.token(exp=...), "time")
        self.add("exp-past", "expired 5 s ago", self.token(exp=NOW - 5), "expired")
        self.add("iat-future", "issued in 61 s", self.token(iat=NOW + 61), "not_yet")
        self.add("nbf-future", "valid in 6 s", self.token(nbf=NOW + 6), "not_yet")
        for name in ("sub", "client_id", "jti"):
            self.add(f"{name}-missing", f"no {name}", self.token(**{name: ...}), "identity")
        self.add("scope-list", "scope is a list", self.token(scope=[SCOPE]), "scope")
        self.add(
            "cnf",
            "sender-constrained, sent as a bearer token",
            self.token(cnf={"jkt": "x"}),
            "sender_constrained",
        )
        self.add("revoked-jti", "its jti is listed", self.token(jti="token-9"), "revoked", revoked=True)
        self.add(
            "revoked-gid", "its authorization is listed", self.token(gid="grant-9"), "revoked", revoked=True
        )
        self.add("scope-lacking", f"lacks {SCOPE}", self.token(scope="accounts:read"), "insufficient_scope")

    def mac(self) -> str:
        header = {"typ": "at+jwt", "alg": "HS256", "kid": "es256-1"}
        signing_input = f"{encode(header)}.{encode(claims(ISSUER, NOW))}"
        secret = self.es256.key.as_pem(private=False)
        return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha256'))}"

    def revocation_lists(self) -> list[dict[str, Any]]:
        until = NOW + 300
        members = {
            "iss": ISSUER,
            "iat": NOW,
            "exp": until,
            "jtis": {"token-9": until},
            "gids": {"grant-9": until},
        }
        typ = {"typ": "revocations+jwt"}
        listed = [
            ("list-good", "valid", self.es256.jwt(members, typ), True),
            ("list-stranger", "signed with another key", self.stranger.jwt(members, typ), False),
            ("list-typ", "typ of an access token", self.es256.jwt(members), False),
            (
                "list-issuer",
                "another issuer",
                self.es256.jwt({**members, "iss": "https://x.example"}, typ),
                False,
            ),
            (
                "list-expired",
                "expired",
                self.es256.jwt({**members, "iat": NOW - 300, "exp": NOW}, typ),
                False,
            ),
        ]
        return [{"id": name, "why": why, "list": text, "valid": valid} for name, why, text, valid in listed]

    def document(self) -> dict[str, Any]:
        return {
            "now": NOW,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "scope": SCOPE,
            "leeway": 5,
            "jwks": json.loads(jwks(self.es256, self.eddsa, self.ps256)),
            "revocation_lists": self.revocation_lists(),
            "access_tokens": self.rows,
        }


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(Vectors().document(), indent=1) + "\n")
