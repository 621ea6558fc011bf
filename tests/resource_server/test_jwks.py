"""The JWK Set: seldom fetched, by one thread, kept through an outage."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from resource_server.conftest import Clock
from resource_server.fake_issuer import METADATA, FakeIssuer, Reply
from resource_server.signing import AUDIENCE, NOW, SigningKey, claims, jwks

from authserver.resource_server import (
    Bounds,
    InvalidToken,
    Issuer,
    JwksPolicy,
    JwksSource,
    Reason,
    Rules,
    StaticKeys,
    Unavailable,
    Validator,
)


def reply(*keys: SigningKey, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(body=jwks(*keys), headers={"Cache-Control": "max-age=300", **named})


def test_the_key_is_found_through_the_metadata_of_the_issuer(issuer: FakeIssuer) -> None:
    validator = Validator(issuer=issuer.identifier, audience=AUDIENCE, rules=Rules(clock=lambda: NOW))
    for _ in range(20):
        assert validator.validate(issuer.key.jwt(claims(issuer.identifier, NOW)))
    assert (issuer.hits[METADATA], issuer.hits["/jwks"]) == (1, 1)


def test_a_told_jwks_uri_needs_no_metadata(issuer: FakeIssuer) -> None:
    told = Issuer("https://as.example", endpoints={"jwks_uri": f"{issuer.identifier}/jwks"})
    assert JwksSource(told).key("key-1")
    assert issuer.hits[METADATA] == 0


@pytest.mark.parametrize("name", ["https://evil.example", "{}/", "", None, 1])
def test_metadata_that_speaks_for_another_issuer_is_refused(issuer: FakeIssuer, name: object) -> None:
    said = name.format(issuer.identifier) if isinstance(name, str) else name
    issuer.replies[METADATA] = Reply(body=json.dumps(issuer.metadata(issuer=said)).encode())
    with pytest.raises(Unavailable):
        JwksSource(issuer.identifier).key("key-1")
    assert issuer.hits["/jwks"] == 0


def test_the_metadata_of_an_issuer_with_a_path_is_before_the_path(issuer: FakeIssuer) -> None:
    identifier = f"{issuer.identifier}/tenant"
    document = json.dumps(issuer.metadata(issuer=identifier)).encode()
    issuer.replies[f"{METADATA}/tenant"] = Reply(body=document)
    assert JwksSource(identifier).key("key-1")


@pytest.mark.parametrize(
    "url",
    [
        "http://as.example",
        "ftp://as.example",
        "https://u@as.example",
        "as.example",
        "https://as.example#x",
        "https://a.e?x=1",
    ],
)
def test_an_address_that_is_not_https_or_loopback_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"https|query"):
        Issuer(url)


def test_an_address_in_the_metadata_that_is_not_https_is_never_asked(issuer: FakeIssuer) -> None:
    document = json.dumps(issuer.metadata(jwks_uri="http://192.0.2.1/jwks")).encode()
    issuer.replies[METADATA] = Reply(body=document)
    with pytest.raises(Unavailable):
        JwksSource(issuer.identifier).key("key-1")


def test_keys_are_asked_for_again_after_max_age_and_confirmed_by_etag(
    issuer: FakeIssuer, clock: Clock
) -> None:
    source = JwksSource(issuer.identifier, clock=clock)
    source.key("key-1")
    clock.now += 299
    source.key("key-1")
    assert issuer.hits["/jwks"] == 1
    issuer.replies["/jwks"] = Reply(304, headers={"Cache-Control": "max-age=300"})
    for _ in range(3):
        clock.now += 301
        assert source.key("key-1")
    assert issuer.hits["/jwks"] == 4
    assert [seen.headers.get("if-none-match") for seen in issuer.seen if seen.path == "/jwks"] == [
        None,
        '"k"',
        '"k"',
        '"k"',
    ]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("max-age=0", 30),
        ("no-store", 300),
        ("public, max-age=100, must-revalidate", 100),
        ("max-age=31536000", 900),
        ("s-max-age=5", 300),
        ("max-age=-1", 300),
        ("max-age=99999999999999999999", 300),
    ],
)
def test_the_max_age_of_the_issuer_counts_within_bounds(
    issuer: FakeIssuer, clock: Clock, told: str, seconds: int
) -> None:
    issuer.replies["/jwks"] = Reply(body=jwks(issuer.key), headers={"Cache-Control": told})
    source = JwksSource(issuer.identifier, clock=clock)
    source.key("key-1")
    clock.now += seconds - 1
    source.key("key-1")
    assert issuer.hits["/jwks"] == 1
    clock.now += 1
    source.key("key-1")
    assert issuer.hits["/jwks"] == 2


def test_a_new_key_is_accepted_at_its_first_token(issuer: FakeIssuer, clock: Clock) -> None:
    validator = Validator(
        issuer=issuer.identifier,
        audience=AUDIENCE,
        keys=JwksSource(issuer.identifier, clock=clock),
        rules=Rules(clock=clock),
    )
    old = issuer.key.jwt(claims(issuer.identifier, NOW))
    assert validator.validate(old)
    issuer.keys.insert(0, SigningKey("key-2"))
    issuer.replies["/jwks"] = lambda _seen: reply(*issuer.keys)
    assert validator.validate(issuer.key.jwt(claims(issuer.identifier, NOW)))
    assert validator.validate(old)
    del issuer.keys[1]
    clock.now += 290
    assert validator.validate(old)
    clock.now += 11
    with pytest.raises(InvalidToken) as caught:
        validator.validate(old)
    assert caught.value.reason is Reason.KEY


def test_a_flood_of_unknown_kids_fetches_at_most_once_in_ten_seconds(
    issuer: FakeIssuer, clock: Clock
) -> None:
    source = JwksSource(issuer.identifier, clock=clock)
    assert source.key("key-1")
    for second in range(30):
        clock.now = NOW + second
        assert [source.key(f"flood-{second}-{n}") for n in range(20)] == [None] * 20
    assert issuer.hits["/jwks"] == 1 + 3


def test_a_flood_from_many_threads_makes_one_fetch(issuer: FakeIssuer) -> None:
    source = JwksSource(issuer.identifier)
    assert source.key("key-1")
    issuer.replies["/jwks"] = Reply(body=jwks(issuer.key), wait=0.2)
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(source.key, (f"flood-{n}" for n in range(200)))) == [None] * 200
    assert issuer.hits["/jwks"] == 2


def test_the_first_fetch_is_made_by_one_thread_alone(issuer: FakeIssuer) -> None:
    issuer.replies["/jwks"] = Reply(body=jwks(issuer.key), wait=0.2)
    source = JwksSource(issuer.identifier)
    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(source.key, ["key-1"] * 64))
    assert issuer.hits["/jwks"] == 1


def test_nobody_waits_for_a_refresh_while_known_keys_are_usable(issuer: FakeIssuer, clock: Clock) -> None:
    source = JwksSource(issuer.identifier, clock=clock)
    source.key("key-1")
    clock.now += 301
    issuer.replies["/jwks"] = Reply(body=jwks(issuer.key), wait=1.0)
    fetching = threading.Thread(target=source.key, args=("key-1",))
    fetching.start()
    while issuer.hits["/jwks"] < 2:
        time.sleep(0.005)
    started = time.perf_counter()
    assert source.key("key-1")
    assert time.perf_counter() - started < 0.5
    fetching.join()


def test_known_keys_outlive_an_outage_until_the_limit_and_then_nothing_is_accepted(
    issuer: FakeIssuer, clock: Clock
) -> None:
    source = JwksSource(issuer.identifier, policy=JwksPolicy(stale=1000), clock=clock)
    assert source.key("key-1")
    issuer.replies["/jwks"] = Reply(500)
    clock.now += 999
    assert source.key("key-1")
    clock.now += 2
    with pytest.raises(Unavailable):
        source.key("key-1")
    del issuer.replies["/jwks"]
    clock.now += 3
    assert source.key("key-1")


def test_an_outage_is_not_hammered(issuer: FakeIssuer, clock: Clock) -> None:
    issuer.replies["/jwks"] = Reply(500)
    source = JwksSource(issuer.identifier, clock=clock)
    for tenth in range(60):
        clock.now = NOW + tenth / 10
        with pytest.raises(Unavailable):
            source.key("key-1")
    assert issuer.hits["/jwks"] == 3


def test_an_unknown_kid_during_an_outage_is_neither_refused_nor_accepted(
    issuer: FakeIssuer, clock: Clock
) -> None:
    source = JwksSource(issuer.identifier, clock=clock)
    assert source.key("key-1")
    issuer.replies["/jwks"] = Reply(503)
    for _ in range(3):
        with pytest.raises(Unavailable):
            source.key("key-2")
    assert source.key("key-1")


def test_an_issuer_that_is_down_makes_validation_unavailable() -> None:
    server = FakeIssuer()
    server.stop()
    with pytest.raises(Unavailable):
        JwksSource(server.identifier).key("key-1")


BAD_ANSWERS: dict[str, Callable[[FakeIssuer], Reply]] = {
    "redirect": lambda issuer: Reply(302, headers={"Location": f"{issuer.identifier}/elsewhere"}),
    "permanent redirect": lambda issuer: Reply(308, headers={"Location": f"{issuer.identifier}/elsewhere"}),
    "oversized": lambda issuer: Reply(body=jwks(issuer.key)[:-1] + b" " * 300_000 + b"}"),
    "compressed": lambda issuer: Reply(body=jwks(issuer.key), headers={"Content-Encoding": "gzip"}),
    "not found": lambda _issuer: Reply(404, body=b'{"keys":[]}'),
    "unasked 304": lambda _issuer: Reply(304),
    "html": lambda _issuer: Reply(body=b"<html>"),
    "list": lambda _issuer: Reply(body=b"[]"),
    "keys is an object": lambda _issuer: Reply(body=b'{"keys":{}}'),
    "repeated member": lambda issuer: Reply(body=b'{"keys":[],' + jwks(issuer.key)[1:]),
    "deep": lambda _issuer: Reply(body=b"[" * 100_000),
    "utf-16": lambda issuer: Reply(body=jwks(issuer.key).decode().encode("utf-16")),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_an_answer_that_is_no_plain_jwk_set_is_not_used(issuer: FakeIssuer, name: str) -> None:
    issuer.replies["/jwks"] = BAD_ANSWERS[name](issuer)
    issuer.replies["/elsewhere"] = Reply(body=jwks(issuer.key))
    with pytest.raises(Unavailable):
        JwksSource(issuer.identifier).key("key-1")
    assert issuer.hits["/elsewhere"] == 0


@pytest.mark.parametrize("slow", [{"wait": 5.0}, {"drip": 0.05}], ids=["silent", "dripping"])
def test_a_slow_issuer_is_given_up_within_the_bounds(issuer: FakeIssuer, slow: dict[str, float]) -> None:
    issuer.replies["/jwks"] = Reply(body=jwks(issuer.key), **slow)
    source = JwksSource(issuer.identifier, policy=JwksPolicy(bounds=Bounds(seconds=0.4)))
    issuer_known = Issuer.of(issuer.identifier)
    assert issuer_known.endpoint("jwks_uri")
    started = time.perf_counter()
    with pytest.raises(Unavailable):
        source.key("key-1")
    assert time.perf_counter() - started < 1.5


def test_proxies_named_in_the_environment_are_not_used(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y\n")
    assert JwksSource(issuer.identifier).key("key-1")
    assert all("authorization" not in seen.headers for seen in issuer.seen)


def weak_rsa() -> dict[str, object]:
    return {"kty": "RSA", "n": "w" * 171, "e": "AQAB", "kid": "bad", "alg": "PS256", "use": "sig"}


GOOD = SigningKey("bad")
BAD_KEYS: dict[str, object] = {
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "bad", "alg": "HS256"},
    "symmetric in disguise": {"kty": "oct", "k": "AAAA", "kid": "bad", "alg": "ES256"},
    "private": {**GOOD.key.as_dict(private=True), "kid": "bad", "alg": "ES256"},
    "for encryption": {**GOOD.jwk, "use": "enc"},
    "for signing alone": {**GOOD.jwk, "key_ops": ["sign"]},
    "key_ops is a text": {**GOOD.jwk, "key_ops": "verify"},
    "without alg": {name: value for name, value in GOOD.jwk.items() if name != "alg"},
    "without kid": {name: value for name, value in GOOD.jwk.items() if name != "kid"},
    "alg of another curve": {**GOOD.jwk, "alg": "ES384"},
    "alg of another type": {**GOOD.jwk, "alg": "PS256"},
    "refused alg": {**SigningKey("bad", "PS256").jwk, "alg": "RS256"},
    "point off the curve": {**GOOD.jwk, "y": GOOD.jwk["x"]},
    "coordinate is a number": {**GOOD.jwk, "x": 1},
    "short coordinate": {**GOOD.jwk, "x": "AA"},
    "short RSA modulus": weak_rsa(),
    "RSA modulus of 1030 characters": {**weak_rsa(), "n": "w" * 10_000},
    "RSA without modulus": {"kty": "RSA", "e": "AQAB", "kid": "bad", "alg": "PS256"},
    "even RSA exponent": {**weak_rsa(), "n": "w" * 342, "e": "Ag"},
    "kid is a number": {**GOOD.jwk, "kid": 1},
    "not an object": "bad",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_an_unusable_key_is_skipped_and_the_others_count(name: str) -> None:
    fine = SigningKey("fine")
    source = StaticKeys(json.dumps({"keys": [BAD_KEYS[name], fine.jwk]}).encode())
    assert source.key("bad") is None
    assert source.key("fine")


def test_two_keys_of_one_name_are_both_refused() -> None:
    source = StaticKeys(jwks(SigningKey("twin"), SigningKey("twin"), SigningKey("fine")))
    assert source.key("twin") is None
    assert source.key("fine")


def test_a_rotation_under_load_refuses_no_good_token(issuer: FakeIssuer) -> None:
    issuer.replies["/jwks"] = lambda _seen: reply(*issuer.keys)
    validator = Validator(issuer=issuer.identifier, audience=AUDIENCE, rules=Rules(clock=lambda: NOW))
    old = issuer.key.jwt(claims(issuer.identifier, NOW))
    new_key = SigningKey("key-2")
    new = new_key.jwt(claims(issuer.identifier, NOW))
    stop = threading.Event()

    def keep_validating() -> int:
        done = 0
        while not stop.is_set():
            assert validator.validate(old)
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(keep_validating) for _ in range(4)]
        time.sleep(0.1)
        issuer.keys.append(new_key)
        assert validator.validate(new)
        time.sleep(0.1)
        stop.set()
        assert all(done.result() > 0 for done in running)
