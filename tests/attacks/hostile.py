"""Hostile text for Hypothesis: values, forms, types, headers and queries that no honest client sends."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from hypothesis import strategies as st

FORM = "application/x-www-form-urlencoded"
# in much of what is sent, never in what the server says by itself
MARK = "kWq7Zz"

WORDS = [
    "'", '"', "%00", "%zz", "%u0041", "%", "\\", "{{7*7}}", "${7*7}", "<script>", "../../", "%2e%2e%2f",
    "null", "true", "[]", "{}", "-1", "1e309", "NaN", "..", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30.",
    ";DROP&TABLE=client;--", "\u0085", "\u2028", "\u202e", "\ufeff", "\U0001f4a9", "\u0661", "\xff",
]  # fmt: skip
SPECIAL = st.sampled_from([
    *WORDS, "\x00", "a\x00b", "' OR '1'='1", "\r\nX: y", "\n", "\t", "\ud800", "Bearer x", " ", "web1", "",
    "A" * 129, "A" * 5000, "A" * 70_000, "A" * 1_048_576, "[" * 20_000, '{"a":' * 5000,
])  # fmt: skip
PLAIN = st.one_of(SPECIAL, st.text(max_size=40), st.text("abc&=+%;.\x00\xff'\"", max_size=20))
TEXT = st.one_of(PLAIN, PLAIN.map(MARK.__add__))
NAMES = st.sampled_from([
    "grant_type", "scope", "token", "token_type_hint", "client_id", "client_secret", "resource", "code", "x",
    "client_assertion", "client_assertion_type", "audience", "authorization_details", "__proto__",
    "grant_type[]", "", "\x00",
])  # fmt: skip
GRANTS = st.sampled_from(
    ["client_credentials", "password", "authorization_code", "refresh_token", "", "\x00"]
)


def escape(text: str) -> bytes:
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()


def pairs_to_body(pairs: list[tuple[str, str]]) -> bytes:
    return b"&".join(escape(name) + b"=" + escape(value) for name, value in pairs)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


PAIRS = st.lists(st.tuples(NAMES, TEXT), max_size=8)
BODIES = st.one_of(
    PAIRS.map(pairs_to_body),
    st.tuples(GRANTS, PAIRS).map(lambda t: pairs_to_body([("grant_type", t[0]), *t[1]])),
    PAIRS.map(lambda pairs: pairs_to_body(pairs) + b"&" + pairs_to_body(pairs)),
    st.binary(max_size=60),
    TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.just(b"token=\xff\xfe&grant_type=client_credentials"),
    st.just(b"&" * 5000),
    st.just(json.dumps({"grant_type": "client_credentials"}).encode()),
    st.just(b'{"a":' * 10_000),
)
OTHER_TYPES = [
    f"{FORM}; charset=utf-8", f"{FORM}; charset=utf-16", "application/json", "text/plain",
    "multipart/form-data", "multipart/form-data; boundary=x", "", "\xff", "a/b; c=\xff", FORM * 100,
]  # fmt: skip
TYPES = st.one_of(st.just(FORM), st.sampled_from(OTHER_TYPES))
HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=60)
AUTHORIZATION = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["web1", "nobody", "", "svc1"]), TEXT).map(
        lambda t: basic(f"{t[0]}:{t[1]}"[:8000])
    ),
    TEXT.map(lambda text: basic(text[:8000])),
    HEADER_TEXT,
    HEADER_TEXT.map("Basic ".__add__),
    HEADER_TEXT.map("Bearer ".__add__),
    st.binary(max_size=40).map(lambda data: "Basic " + base64.b64encode(data).decode()),
)
METHODS = st.sampled_from(["POST"] * 12 + ["GET", "PUT", "HEAD", "FOO", "OPTIONS"])
QUERIES = st.one_of(
    st.just(""),
    st.just(""),
    PAIRS.map(lambda pairs: pairs_to_body(pairs).decode()[:6000]),
    HEADER_TEXT.map(lambda text: text.replace(" ", "+").replace("#", "")),
)
FIELDS = st.sampled_from([
    "If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding", "Range", "Cookie", "Origin", "Referer",
    "User-Agent", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Content-Length",
    "Transfer-Encoding", "Expect",
])  # fmt: skip

_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_MEMBERS = st.sampled_from(
    ["alg", "typ", "kid", "crit", "jwk", "jku", "exp", "iat", "aud", "sub", "jti", "b64"]
)
_TYPICAL = st.sampled_from(["ES256", "none", "HS256", "at+jwt", "JWT"])
_PARTS = st.one_of(st.dictionaries(_MEMBERS, st.one_of(_VALUES, _TYPICAL), max_size=5), _VALUES).map(
    lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
)
# three parts, JSON underneath, signed by nobody
TOKENS = st.tuples(_PARTS, _PARTS, st.sampled_from(["", "AA", "AAAA", "A", "=", "é"])).map(".".join)
