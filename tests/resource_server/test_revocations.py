"""The signed revocation list: revoked within a second, and closed when nobody can tell."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from resource_server.conftest import Clock
from resource_server.fake_issuer import METADATA, FakeIssuer, Reply, Seen
from resource_server.signing import AUDIENCE, NOW, SigningKey, claims

from authserver.resource_server import (
    InvalidToken,
    Issuer,
    JwksSource,
    Reason,
    RevocationList,
    RevocationPolicy,
    Rules,
    Unavailable,
    Validator,
)


class Published:
    """The list as the issuer publishes it: signed anew at each change, else a 304."""

    def __init__(self, issuer: FakeIssuer, clock: Clock) -> None:
        self.issuer, self.clock = issuer, clock
        self.jtis: dict[str, int] = {}
        self.gids: dict[str, int] = {}
        self.version = 0
        issuer.replies["/revocations"] = self.reply

    def revoke(self, *, jti: str | None = None, gid: str | None = None) -> None:
        self.version += 1
        if jti is not None:
            self.jtis[jti] = int(self.clock.now) + 300
        if gid is not None:
            self.gids[gid] = int(self.clock.now) + 300

    def members(self, **changes: Any) -> dict[str, Any]:
        now = int(self.clock.now)
        members = {
            "iss": self.issuer.identifier,
            "iat": now,
            "exp": now + 300,
            "jtis": self.jtis,
            "gids": self.gids,
            **changes,
        }
        return {name: value for name, value in members.items() if value is not ...}

    def reply(self, seen: Seen) -> Reply:
        etag = f'"v{self.version}"'
        if seen.headers.get("if-none-match") == etag:
            return Reply(304, headers={"ETag": etag})
        return signed(self.issuer.key, self.members(), etag=etag)


def signed(key: SigningKey, members: Any, *, etag: str = '"x"', typ: Any = "revocations+jwt") -> Reply:
    text = key.jwt(members, {"typ": typ})
    return Reply(body=text.encode(), headers={"Content-Type": "application/jwt", "ETag": etag})


@pytest.fixture
def published(issuer: FakeIssuer, clock: Clock) -> Published:
    return Published(issuer, clock)


def revocation_list(issuer: FakeIssuer, clock: Clock, **policy: Any) -> RevocationList:
    known = Issuer(issuer.identifier)
    return RevocationList(
        known, JwksSource(known), policy=RevocationPolicy(**policy), clock=clock, wall=clock
    )


def refused(revocations: RevocationList, jti: str, gid: str | None = None) -> bool:
    try:
        revocations.check(jti, gid)
    except InvalidToken as error:
        assert error.reason is Reason.REVOKED
        return True
    return False


def test_a_revoked_token_is_refused_within_a_second(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    known = Issuer(issuer.identifier)
    keys = JwksSource(known)
    validator = Validator(
        issuer=known,
        audience=AUDIENCE,
        keys=keys,
        revocations=RevocationList(known, keys, clock=clock, wall=clock),
        rules=Rules(clock=clock),
    )
    text = issuer.key.jwt(claims(issuer.identifier, NOW))
    assert validator.validate(text)
    published.revoke(jti="token-1")
    clock.now += 0.51
    with pytest.raises(InvalidToken) as caught:
        validator.validate(text)
    assert caught.value.reason is Reason.REVOKED


def test_a_revoked_authorization_ends_all_its_tokens(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    published.revoke(gid="grant-1")
    revocations = revocation_list(issuer, clock)
    assert refused(revocations, "token-1", "grant-1")
    assert refused(revocations, "token-2", "grant-1")
    assert not refused(revocations, "token-3", "grant-2")
    assert not refused(revocations, "grant-1", None)


def test_the_list_is_asked_for_when_it_is_half_a_second_old_and_confirmed_by_etag(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    for eighth in range(40):
        clock.now = NOW + eighth / 8
        assert not refused(revocations, "token-1")
    assert issuer.hits["/revocations"] == 8
    asked = [seen.headers.get("if-none-match") for seen in issuer.seen if seen.path == "/revocations"]
    assert asked == [None, *['"v0"'] * 7]


def test_many_threads_make_one_request(issuer: FakeIssuer, clock: Clock, published: Published) -> None:
    revocations = revocation_list(issuer, clock)
    with ThreadPoolExecutor(32) as pool:
        assert not any(pool.map(lambda n: refused(revocations, f"t{n}"), range(200)))
    assert issuer.hits["/revocations"] == 1


def test_a_list_near_its_end_is_fetched_whole_though_nothing_changed(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    for _ in range(1000):
        assert not refused(revocations, "token-1")
        clock.now += 2
    whole = [s for s in issuer.seen if s.path == "/revocations" and "if-none-match" not in s.headers]
    assert 7 <= len(whole) <= 10


def test_a_304_never_confirms_a_list_that_has_expired(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    assert not refused(revocations, "token-1")
    issuer.replies["/revocations"] = Reply(304, headers={"ETag": '"v0"'})
    clock.now += 301
    with pytest.raises(Unavailable):
        revocations.check("token-1", None)


def test_a_list_that_expires_during_an_outage_counts_no_longer(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock, stale=10_000)
    assert not refused(revocations, "token-1")
    issuer.replies["/revocations"] = Reply(500)
    clock.now += 299
    assert not refused(revocations, "token-1")
    clock.now += 1
    with pytest.raises(Unavailable):
        revocations.check("token-1", None)


def test_an_expired_list_does_not_displace_the_one_that_holds(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    assert not refused(revocations, "token-1")
    issuer.replies["/revocations"] = signed(issuer.key, published.members(iat=NOW - 300, exp=NOW))
    clock.now += 2
    assert not refused(revocations, "token-1")


def test_what_was_revoked_stays_revoked_when_an_older_list_turns_up(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    older = published.reply(Seen("GET", "/revocations", {}, b""))
    revocations = revocation_list(issuer, clock)
    published.revoke(jti="token-1")
    assert refused(revocations, "token-1")
    issuer.replies["/revocations"] = older
    clock.now += 2
    assert refused(revocations, "token-1")


def test_an_entry_goes_once_its_token_has_long_expired(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    published.revoke(jti="token-1")
    assert refused(revocations, "token-1")
    published.jtis.clear()
    published.version += 1
    clock.now += 355
    assert refused(revocations, "token-1")
    published.version += 1
    clock.now += 10
    assert not refused(revocations, "token-1")


def test_an_outage_is_bridged_for_ten_seconds_and_then_everything_is_refused(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    published.revoke(jti="revoked")
    assert refused(revocations, "revoked")
    issuer.replies["/revocations"] = Reply(500)
    clock.now += 9.9
    assert not refused(revocations, "token-1")
    assert refused(revocations, "revoked")
    clock.now += 0.2
    with pytest.raises(Unavailable):
        revocations.check("token-1", None)
    issuer.replies["/revocations"] = published.reply
    clock.now += 1.1
    assert not refused(revocations, "token-1")


def test_without_a_first_list_nothing_is_accepted_and_the_issuer_is_not_hammered(
    issuer: FakeIssuer, clock: Clock
) -> None:
    revocations = revocation_list(issuer, clock)
    for tenth in range(30):
        clock.now = NOW + tenth / 10
        with pytest.raises(Unavailable):
            revocations.check("token-1", None)
    assert issuer.hits["/revocations"] == 3


def test_an_issuer_that_publishes_no_list_is_told_apart_from_an_empty_list(
    issuer: FakeIssuer, clock: Clock
) -> None:
    document = {name: value for name, value in issuer.metadata().items() if name != "revocations_uri"}
    issuer.replies[METADATA] = Reply(body=json.dumps(document).encode())
    with pytest.raises(Unavailable):
        revocation_list(issuer, clock).check("token-1", None)


STRANGER = SigningKey("key-1")
Forge = Callable[[FakeIssuer, Published], Reply]
BAD_LISTS: dict[str, Forge] = {
    "signed by a stranger": lambda _i, p: signed(STRANGER, p.members()),
    "an access token": lambda i, _p: signed(i.key, claims(i.identifier, NOW), typ="at+jwt"),
    "an access token by type": lambda i, p: signed(i.key, p.members(), typ="at+jwt"),
    "typ JWT": lambda i, p: signed(i.key, p.members(), typ="JWT"),
    "typ missing": lambda i, p: signed(i.key, p.members(), typ=None),
    "another issuer": lambda i, p: signed(i.key, p.members(iss="https://evil.example")),
    "no issuer": lambda i, p: signed(i.key, p.members(iss=...)),
    "expired": lambda i, p: signed(i.key, p.members(iat=NOW - 300, exp=NOW)),
    "of the future": lambda i, p: signed(i.key, p.members(iat=NOW + 61)),
    "exp missing": lambda i, p: signed(i.key, p.members(exp=...)),
    "exp a text": lambda i, p: signed(i.key, p.members(exp=str(NOW + 300))),
    "exp a float": lambda i, p: signed(i.key, p.members(exp=1e308)),
    "exp a bool": lambda i, p: signed(i.key, p.members(exp=True)),
    "iat missing": lambda i, p: signed(i.key, p.members(iat=...)),
    "jtis missing": lambda i, p: signed(i.key, p.members(jtis=...)),
    "gids missing": lambda i, p: signed(i.key, p.members(gids=...)),
    "jtis a list": lambda i, p: signed(i.key, p.members(jtis=["token-1"])),
    "an entry without time": lambda i, p: signed(i.key, p.members(jtis={"token-1": None})),
    "claims are no object": lambda i, _p: signed(i.key, b"[]"),
    "html": lambda _i, _p: Reply(body=b"<html>", headers={"Content-Type": "application/jwt"}),
    "not ascii": lambda _i, _p: Reply(body=b"\xff", headers={"Content-Type": "application/jwt"}),
    "empty": lambda _i, _p: Reply(headers={"Content-Type": "application/jwt"}),
    "json type": lambda i, p: Reply(
        body=i.key.jwt(p.members(), {"typ": "revocations+jwt"}).encode(),
        headers={"Content-Type": "application/json"},
    ),
    "no type": lambda i, p: Reply(body=i.key.jwt(p.members(), {"typ": "revocations+jwt"}).encode()),
    "unasked 304": lambda _i, _p: Reply(304),
    "redirect": lambda i, _p: Reply(302, headers={"Location": f"{i.identifier}/jwks"}),
    "oversized": lambda i, p: signed(i.key, p.members(jtis={f"t{n}": NOW for n in range(250_000)})),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_a_list_that_does_not_hold_confirms_nothing(
    issuer: FakeIssuer, clock: Clock, published: Published, name: str
) -> None:
    issuer.replies["/revocations"] = BAD_LISTS[name](issuer, published)
    with pytest.raises(Unavailable):
        revocation_list(issuer, clock).check("token-1", None)


def test_a_list_with_one_changed_byte_is_refused_and_the_held_one_ages(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    published.revoke(jti="token-1")
    assert refused(revocations, "token-1")
    good = issuer.key.jwt(published.members(), {"typ": "revocations+jwt"})
    header, _payload, signature = good.split(".")
    emptied = issuer.key.jwt(published.members(jtis={}), {"typ": "revocations+jwt"}).split(".")[1]
    issuer.replies["/revocations"] = Reply(
        body=f"{header}.{emptied}.{signature}".encode(), headers={"Content-Type": "application/jwt"}
    )
    clock.now += 5
    assert refused(revocations, "token-1")
    clock.now += 6
    with pytest.raises(Unavailable):
        revocations.check("token-2", None)


def test_a_list_of_a_hundred_thousand_entries_is_read(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    published.jtis = {f"token-{n}": NOW + 300 for n in range(100_000)}
    revocations = revocation_list(issuer, clock)
    assert refused(revocations, "token-99999")
    assert not refused(revocations, "token-100000")


def test_a_silent_issuer_costs_one_request_its_time_and_not_every_request(
    issuer: FakeIssuer, clock: Clock, published: Published
) -> None:
    revocations = revocation_list(issuer, clock)
    assert not refused(revocations, "token-1")
    issuer.replies["/revocations"] = Reply(wait=10)
    clock.now += 2
    started = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(lambda n: refused(revocations, f"t{n}"), range(100)))
    assert time.perf_counter() - started < 2


def test_the_background_thread_keeps_the_list_young(issuer: FakeIssuer, published: Published) -> None:
    published.clock.now = time.time()
    known = Issuer(issuer.identifier)
    policy = RevocationPolicy(max_age=0.2)
    revocations = RevocationList(known, JwksSource(known), policy=policy)
    revocations.start()
    try:
        while not issuer.hits["/revocations"]:
            time.sleep(0.01)
        published.revoke(jti="token-1")
        time.sleep(0.5)
        asked = issuer.hits["/revocations"]
        assert refused(revocations, "token-1")
        assert issuer.hits["/revocations"] == asked >= 3
    finally:
        revocations.stop()
    while any(thread.name == "revocations" for thread in threading.enumerate()):
        time.sleep(0.01)
