"""Validation by introspection: a clear yes, a clear no, and nothing in between."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from resource_server.conftest import Clock
from resource_server.fake_issuer import FakeIssuer, Reply, Seen
from resource_server.signing import AUDIENCE, NOW, claims

from authserver.resource_server import (
    AccessToken,
    InsufficientScope,
    IntrospectionValidator,
    InvalidToken,
    Issuer,
    Reason,
    Rules,
    ShortCache,
    Unavailable,
)

SECRET = "s3cret:with/odd+signs% é"
TOKEN = "opaque-token"


def validator(server: FakeIssuer, **changes: Any) -> IntrospectionValidator:
    arguments: dict[str, Any] = {
        "issuer": server.identifier,
        "audience": AUDIENCE,
        "client_id": "payments api",
        "client_secret": SECRET,
        "rules": Rules(clock=lambda: NOW),
        **changes,
    }
    return IntrospectionValidator(**arguments)


def says(issuer: FakeIssuer, **changes: Any) -> None:
    members = claims(issuer.identifier, NOW, active=True, token_type="Bearer")
    members = {n: v for n, v in {**members, **changes}.items() if v is not ...}
    issuer.replies["/introspect"] = Reply(body=json.dumps(members).encode())


def refusal(issuer: FakeIssuer, token: str = TOKEN) -> Reason:
    with pytest.raises(InvalidToken) as caught:
        validator(issuer).validate(token)
    return caught.value.reason


def test_an_active_token_becomes_typed_claims(issuer: FakeIssuer) -> None:
    says(issuer)
    found = validator(issuer).validate(TOKEN, scope="payments:initiate")
    assert (found.client_id, found.jti, found.expires_at) == ("client-1", "token-1", NOW + 300)


def test_the_api_authenticates_with_form_encoded_basic_credentials(issuer: FakeIssuer) -> None:
    says(issuer)
    validator(issuer).validate(TOKEN)
    seen = issuer.seen[-1]
    kind, _, coded = seen.headers["authorization"].partition(" ")
    name, _, secret = base64.b64decode(coded).decode("ascii").partition(":")
    assert (kind, unquote_plus(name), unquote_plus(secret)) == ("Basic", "payments api", SECRET)
    assert seen.method == "POST"
    assert parse_qs(seen.body.decode()) == {"token": [TOKEN], "token_type_hint": ["access_token"]}


def test_the_token_is_not_in_the_url(issuer: FakeIssuer) -> None:
    says(issuer)
    validator(issuer).validate(TOKEN)
    assert all(TOKEN not in seen.path for seen in issuer.seen)


def test_an_inactive_token_is_refused(issuer: FakeIssuer) -> None:
    issuer.replies["/introspect"] = Reply(body=b'{"active":false}')
    assert refusal(issuer) is Reason.INACTIVE


def test_a_revocation_counts_at_the_very_next_request(issuer: FakeIssuer) -> None:
    says(issuer)
    asking = validator(issuer)
    assert asking.validate(TOKEN)
    issuer.replies["/introspect"] = Reply(body=b'{"active":false}')
    with pytest.raises(InvalidToken):
        asking.validate(TOKEN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example"}, Reason.ISSUER),
        ({"iss": ...}, Reason.ISSUER),
        ({"aud": "https://api.example/accounts"}, Reason.AUDIENCE),
        ({"aud": ...}, Reason.AUDIENCE),
        ({"exp": NOW - 5}, Reason.EXPIRED),
        ({"exp": ...}, Reason.TIME),
        ({"exp": str(NOW + 300)}, Reason.TIME),
        ({"nbf": NOW + 60}, Reason.NOT_YET),
        ({"token_type": "DPoP"}, Reason.BEARER),
        ({"token_type": "refresh_token"}, Reason.BEARER),
        ({"token_type": ...}, Reason.BEARER),
        ({"token_type": None}, Reason.BEARER),
        ({"cnf": {"jkt": "x"}}, Reason.SENDER_CONSTRAINED),
        ({"client_id": ...}, Reason.IDENTITY),
        ({"scope": ["payments:read"]}, Reason.SCOPE),
    ],
)
def test_an_active_token_with_a_wrong_claim_is_refused(
    issuer: FakeIssuer, changes: dict[str, Any], reason: Reason
) -> None:
    says(issuer, **changes)
    assert refusal(issuer) is reason


def test_a_lacking_scope_is_told_apart(issuer: FakeIssuer) -> None:
    says(issuer)
    with pytest.raises(InsufficientScope):
        validator(issuer).validate(TOKEN, scope="refunds:create")


@pytest.mark.parametrize("active", [..., None, "true", 1, 0, [], "false", {}])
def test_an_unclear_answer_is_neither_active_nor_invalid(issuer: FakeIssuer, active: Any) -> None:
    says(issuer, active=active)
    with pytest.raises(Unavailable):
        validator(issuer).validate(TOKEN)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503),
        Reply(500, body=b'{"active":true}'),
        Reply(401, body=b'{"error":"invalid_client"}'),
        Reply(403),
        Reply(429),
        Reply(204),
        Reply(304),
        Reply(302, headers={"Location": "/jwks"}),
        Reply(body=b""),
        Reply(body=b"<html>"),
        Reply(body=b"[]"),
        Reply(body=b'{"active":false,"active":true}'),
        Reply(body=b'{"active":true,"exp":NaN}'),
        Reply(body=b'{"active":true,"x":"' + b"A" * 70_000 + b'"}'),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}",
)
def test_any_answer_but_a_plain_200_is_unavailable(issuer: FakeIssuer, reply: Reply) -> None:
    issuer.replies["/introspect"] = reply
    with pytest.raises(Unavailable):
        validator(issuer).validate(TOKEN)


def test_a_silent_issuer_is_given_up_after_two_seconds(issuer: FakeIssuer) -> None:
    issuer.replies["/introspect"] = Reply(body=b'{"active":true}', wait=20)
    started = time.perf_counter()
    with pytest.raises(Unavailable):
        validator(issuer).validate(TOKEN)
    assert 1.5 < time.perf_counter() - started < 3.5


def test_a_dead_issuer_is_unavailable() -> None:
    server = FakeIssuer()
    server.stop()
    told = Issuer(server.identifier, endpoints={"introspection_endpoint": f"{server.identifier}/introspect"})
    with pytest.raises(Unavailable):
        validator(server, issuer=told).validate(TOKEN)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "é", "a&token=b", 'a"b', "=", "\0", "x" * 16_385])
def test_a_text_that_cannot_be_a_token_never_reaches_the_issuer(issuer: FakeIssuer, token: str) -> None:
    assert refusal(issuer, token) in (Reason.FORM, Reason.SIZE)
    assert not issuer.seen


@pytest.mark.parametrize("lacking", ["audience", "client_id", "client_secret"])
def test_an_api_without_credentials_is_refused_at_the_start(issuer: FakeIssuer, lacking: str) -> None:
    with pytest.raises(ValueError, match="credentials"):
        validator(issuer, **{lacking: ""})


def test_the_secret_is_in_no_representation(issuer: FakeIssuer) -> None:
    asking = validator(issuer)
    assert "s3cret" not in repr(asking) + str(asking)


def counting(issuer: FakeIssuer) -> None:
    says(issuer)
    reply = issuer.replies["/introspect"]

    def by_token(seen: Seen) -> Reply:
        assert isinstance(reply, Reply)
        return Reply(body=b'{"active":false}') if b"token=bad" in seen.body else reply

    issuer.replies["/introspect"] = by_token


def test_a_short_cache_repeats_a_good_answer_and_no_longer_than_told(
    issuer: FakeIssuer, clock: Clock
) -> None:
    counting(issuer)
    cached = ShortCache(validator(issuer), seconds=5, clock=clock, wall=clock)
    first = cached.validate(TOKEN)
    clock.now += 4.9
    assert cached.validate(TOKEN) is first
    assert issuer.hits["/introspect"] == 1
    clock.now += 0.1
    cached.validate(TOKEN)
    assert issuer.hits["/introspect"] == 2


def test_a_short_cache_still_judges_the_scope_of_each_request(issuer: FakeIssuer, clock: Clock) -> None:
    counting(issuer)
    cached = ShortCache(validator(issuer), seconds=5, clock=clock, wall=clock)
    assert cached.validate(TOKEN, scope="payments:read")
    with pytest.raises(InsufficientScope):
        cached.validate(TOKEN, scope="refunds:create")
    assert issuer.hits["/introspect"] == 1


def test_a_short_cache_remembers_a_token_whose_scope_was_not_enough(issuer: FakeIssuer, clock: Clock) -> None:
    counting(issuer)
    cached = ShortCache(validator(issuer), seconds=5, clock=clock, wall=clock)
    with pytest.raises(InsufficientScope):
        cached.validate(TOKEN, scope="refunds:create")
    assert cached.validate(TOKEN, scope="payments:read")
    assert issuer.hits["/introspect"] == 1


def test_a_short_cache_ends_with_the_token_and_keeps_no_refusal(issuer: FakeIssuer, clock: Clock) -> None:
    counting(issuer)
    cached = ShortCache(validator(issuer), seconds=60, clock=lambda: 0.0, wall=clock)
    assert cached.validate(TOKEN)
    clock.now += 300
    cached.validate(TOKEN)
    assert issuer.hits["/introspect"] == 2
    for _ in range(2):
        with pytest.raises(InvalidToken):
            cached.validate("bad")
    assert issuer.hits["/introspect"] == 4


def test_a_short_cache_stays_small(issuer: FakeIssuer, clock: Clock) -> None:
    class Yes:
        asked = 0

        def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
            self.asked += 1
            return AccessToken("s", "c", frozenset(), token, NOW + 300, (AUDIENCE,))

    yes = Yes()
    cached = ShortCache(yes, seconds=60, size=10, clock=clock, wall=clock)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(cached.validate, (f"t{n}" for n in range(100))))
    assert [token.jti for token in found] == [f"t{n}" for n in range(100)]
    assert (yes.asked, len(cached._answers)) == (100, 10)


@pytest.mark.parametrize("seconds", [0, -1, 61])
def test_a_long_cache_is_refused(issuer: FakeIssuer, seconds: float) -> None:
    with pytest.raises(ValueError, match="60"):
        ShortCache(validator(issuer), seconds=seconds)
