"""private_key_jwt: who may sign, for whom, for how long, and once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from assertions import ABSENT, MAKERS, Signer, form, register
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from plugins.app import Moving, World, basic
from services import RedisServer
from werkzeug.test import TestResponse

from authserver import clock, crypto, jws
from authserver.errors import Invalid, Unavailable
from authserver.outgoing import Outgoing
from authserver.purge import purge


@pytest.fixture
def signer(world: World) -> Signer:
    """The key of the client ``bank``."""
    made = Signer()
    register(world, "bank", jwks={"keys": [made.public()]})
    return made


def post(world: World, assertion: str, path: str = "/token", **fields: str) -> TestResponse:
    return world.send("POST", path, form=form(assertion, **fields))


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events("client.auth.failed")]


def refused(world: World, response: TestResponse, reason: str) -> bool:
    body = {"error": "invalid_client", "error_description": "Client authentication failed."}
    return response.status_code == 401 and response.json == body and reasons(world)[-1] == reason


@pytest.mark.spec("RFC 7523", "2.2")
@pytest.mark.parametrize("alg", sorted(MAKERS))
def test_a_signed_assertion_proves_the_client(world: World, alg: str) -> None:
    signer = Signer(alg)
    register(world, "bank", jwks={"keys": [signer.public(), Signer(kid="other").public()]})
    for header in ({}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}, {"kid": ABSENT}):
        fields = {"client_id": "bank"} if header else {}
        given = header if alg != "ES256" or "kid" not in header else {}
        response = post(world, signer.assertion(world, "bank", given), **fields)
        assert response.status_code == 200, (header, response.json, reasons(world))
        assert response.json["scope"] == "payments:read"


def test_without_a_kid_the_one_fitting_key_is_meant_and_of_two_none(world: World) -> None:
    signer = Signer()
    register(world, "bank", jwks={"keys": [signer.public(), Signer(kid="other").public()]})
    assert refused(world, post(world, signer.assertion(world, "bank", {"kid": ABSENT})), "kid")


def test_an_assertion_counts_once_at_all_endpoints(world: World, signer: Signer) -> None:
    assertion = signer.assertion(world, "bank")
    assert post(world, assertion).status_code == 200
    assert refused(world, post(world, assertion), "jti_replay")
    assert refused(world, post(world, assertion, "/revoke", token="x"), "jti_replay")


def test_of_twenty_at_once_one_gets_a_token(world: World, signer: Signer) -> None:
    assertion = signer.assertion(world, "bank")
    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(lambda _: post(world, assertion).status_code, range(20)))
    assert statuses == [200, *[401] * 19]


def test_two_clients_may_use_one_jti(world: World, signer: Signer) -> None:
    register(world, "rival", jwks={"keys": [signer.public()]})
    for client_id in ("bank", "rival"):
        assert post(world, signer.assertion(world, client_id, jti="same")).status_code == 200


def test_a_refused_assertion_costs_its_jti_nothing(world: World, signer: Signer) -> None:
    assert refused(world, post(world, signer.assertion(world, "bank", jti="j", aud="https://else")), "aud")
    assert post(world, signer.assertion(world, "bank", jti="j")).status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": [ABSENT]}, "aud"),
        ({"aud": ABSENT}, "aud"),
        ({"aud": "{issuer}/token"}, "aud"),
        ({"aud": "{issuer}/"}, "aud"),
        ({"aud": {"iss": "{issuer}"}}, "aud"),
        ({"sub": "svc1"}, "iss_sub"),
        ({"sub": ABSENT}, "iss_sub"),
        ({"sub": ""}, "iss_sub"),
        ({"sub": ["bank"]}, "iss_sub"),
        ({"iss": "svc1"}, "iss_sub"),
        ({"iss": ABSENT}, "iss_sub"),
        ({"sub": "BANK", "iss": "BANK"}, "kid"),
        ({"jti": ABSENT}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "j" * 257}, "jti"),
    ],
)
@pytest.mark.spec("RFC 7523", "3")
def test_claims_that_are_not_exactly_right_are_refused(
    world: World, signer: Signer, claims: dict[str, Any], reason: str
) -> None:
    issuer = world.services.settings.issuer
    given = json.loads(json.dumps(claims, default=lambda _: issuer).replace("{issuer}", issuer))
    given |= {name: value for name, value in claims.items() if value is ABSENT}
    assert refused(world, post(world, signer.assertion(world, "bank", **given)), reason)


@pytest.mark.parametrize(
    "value", [0, -1, 1, -60, -300, 301, 3600, "60", True, None, float("1e300"), [], ABSENT]
)
def test_an_expiry_is_a_number_within_five_minutes(
    world: World, moving_clock: Moving, signer: Signer, value: Any
) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    given = clock.now() + value if number else value
    response = post(world, signer.assertion(world, "bank", exp=given))
    assert response.status_code == 200 if number and value == 1 else refused(world, response, "exp")


def test_clocks_may_differ_by_ten_seconds(world: World, moving_clock: Moving, signer: Signer) -> None:
    now = clock.now()
    for name in ("iat", "nbf"):
        assert post(world, signer.assertion(world, "bank", **{name: now + 10})).status_code == 200
        assert refused(world, post(world, signer.assertion(world, "bank", **{name: now + 11})), name)


def test_an_assertion_is_remembered_for_its_whole_life(
    world: World, moving_clock: Moving, signer: Signer
) -> None:
    assertion = signer.assertion(world, "bank", exp=clock.now() + 300)
    assert post(world, assertion).status_code == 200
    moving_clock.walk(299)
    purge(world.services.database)
    assert refused(world, post(world, assertion), "jti_replay")
    moving_clock.walk(1)
    assert refused(world, post(world, assertion), "exp")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
            "assertion_type",
        ),
        ({"client_assertion_type": ""}, "assertion_type"),
        ({"client_assertion": ""}, "assertion_type"),
        ({"client_id": "svc1"}, "iss_sub"),
    ],
)
def test_the_type_and_the_client_id_beside_an_assertion_are_its_own(
    world: World, signer: Signer, fields: dict[str, str], reason: str
) -> None:
    sent = form(signer.assertion(world, "bank")) | fields
    assert refused(world, world.send("POST", "/token", form=sent), reason)


@pytest.mark.spec("RFC 6749", "2.3")
def test_an_assertion_beside_another_method_is_refused(world: World, signer: Signer) -> None:
    sent = form(signer.assertion(world, "bank"))
    header = {"Authorization": basic("svc1", world.secrets["svc1"])}
    for response in (
        world.send("POST", "/token", form=sent, headers=header),
        world.send("POST", "/token", form=sent | {"client_secret": "x"}),
    ):
        assert (response.status_code, response.json["error"]) == (400, "invalid_request")
    assert reasons(world) == ["multiple_methods"] * 2


def test_a_key_of_another_client_under_the_same_kid_proves_nothing(world: World, signer: Signer) -> None:
    stranger = Signer()
    register(world, "stranger", jwks={"keys": [stranger.public()]})
    assert refused(world, post(world, stranger.assertion(world, "bank")), "signature")
    assert refused(world, post(world, stranger.assertion(world, "nobody")), "kid")
    # a client of another method has no key that counts, whatever it signs
    assert refused(world, post(world, stranger.assertion(world, "svc1")), "kid")


def test_a_client_with_keys_does_not_pass_by_name_or_secret(world: World, signer: Signer) -> None:
    named = world.send("POST", "/token", form={"grant_type": "client_credentials", "client_id": "bank"})
    assert refused(world, named, "missing_credentials")
    header = {"Authorization": basic("bank", world.secrets["svc1"])}
    assert (
        world.send("POST", "/token", form={"grant_type": "client_credentials"}, headers=header).status_code
        == 401
    )


def test_a_suspended_client_spends_no_jti(world: World, signer: Signer) -> None:
    world.services.clients.set_state("bank", "suspended")
    assertion = signer.assertion(world, "bank")
    assert refused(world, post(world, assertion), "client_disabled")
    world.services.clients.set_state("bank", "active")
    assert post(world, assertion).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"crit": ["exp"]},
        {"jwk": {}},
        {"jku": "https://evil.example/k"},
        {"x5u": "https://evil.example/k"},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"b64": False},
    ],
)
def test_a_header_that_asks_for_more_is_refused(world: World, signer: Signer, header: dict[str, Any]) -> None:
    head, claims, signature = signer.assertion(world, "bank").split(".")
    forged = json.loads(crypto.b64u_decode(head)) | header
    text = f"{crypto.b64u(json.dumps(forged).encode())}.{claims}.{signature}"
    response = post(world, text)
    assert (response.status_code, response.json["error"]) == (401, "invalid_client")


def test_authlibs_own_assertion_is_refused_for_its_audience_and_its_hour(world: World) -> None:
    """Its default audience is the token endpoint, its default life an hour (policy P4)."""
    signer = Signer("PS256")
    register(world, "bank", jwks={"keys": [signer.public()]})
    issuer = world.services.settings.issuer
    auth = SimpleNamespace(client_id="bank", client_secret=signer.key.as_pem(private=True))
    for audience, reason in ((f"{issuer}/token", "aud"), (issuer, "exp")):
        assertion = PrivateKeyJWT(audience, alg="PS256").sign(auth, audience)
        assert refused(world, post(world, assertion), reason)


# --- keys at an address ---------------------------------------------------------------------------------


class Publisher:
    """A client's web server: gives ``body`` with ``status`` at every path, and counts."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = b"{}", 200, 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(publisher.status)
                if publisher.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(publisher.body)))
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}/jwks"

    def publish(self, *signers: Signer) -> None:
        self.body = json.dumps({"keys": [signer.public() for signer in signers]}).encode()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_published_keys_are_fetched_once_and_again_for_a_new_kid(
    world: World, moving_clock: Moving, publisher: Publisher
) -> None:
    old, new = Signer(kid="old"), Signer(kid="new")
    publisher.publish(old)
    register(world, "bank", jwks_uri=publisher.uri)
    for _ in range(3):
        assert post(world, old.assertion(world, "bank")).status_code == 200
    assert publisher.asked == 1
    publisher.publish(old, new)
    # not at once: a flood of unknown kids fetches nothing
    for number in range(50):
        flood = Signer.assertion(new, world, "bank", {"kid": f"n{number}"})
        assert refused(world, post(world, flood), "kid")
    assert publisher.asked == 1
    moving_clock.walk(31)
    assert post(world, new.assertion(world, "bank")).status_code == 200
    assert publisher.asked == 2


def test_published_keys_that_are_gone_stop_counting(
    world: World, moving_clock: Moving, publisher: Publisher
) -> None:
    old, new = Signer(kid="old"), Signer(kid="new")
    publisher.publish(old)
    register(world, "bank", jwks_uri=publisher.uri)
    assert post(world, old.assertion(world, "bank")).status_code == 200
    publisher.publish(new)
    moving_clock.walk(301)
    assert refused(world, post(world, old.assertion(world, "bank")), "kid")


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (302, b""), (200, b"junk"), (200, b"[]"), (200, b"x" * 70_000)]
)
def test_while_an_address_does_not_answer_what_it_gave_counts_an_hour_more(
    world: World, moving_clock: Moving, publisher: Publisher, status: int, body: bytes
) -> None:
    signer = Signer()
    publisher.publish(signer)
    register(world, "bank", jwks_uri=publisher.uri)
    assert post(world, signer.assertion(world, "bank")).status_code == 200
    publisher.status, publisher.body = status, body
    moving_clock.walk(3600)
    assert post(world, signer.assertion(world, "bank")).status_code == 200
    moving_clock.walk(31)
    assert refused(world, post(world, signer.assertion(world, "bank")), "kid")
    publisher.status = 200
    publisher.publish(signer)
    moving_clock.walk(31)
    assert post(world, signer.assertion(world, "bank")).status_code == 200


def test_calls_of_others_that_hang_cost_a_client_neither_its_known_keys_nor_its_next_look(
    world: World, moving_clock: Moving, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise Unavailable("outgoing")

    known, unknown = Signer(), Signer(kid="later")
    publisher.publish(known)
    register(world, "bank", jwks_uri=publisher.uri)
    with monkeypatch.context() as busy:
        busy.setattr(Outgoing, "_send", full)
        assert post(world, known.assertion(world, "bank")).status_code == 503
    # nobody was asked, so the first look is still to come
    assert post(world, known.assertion(world, "bank")).status_code == 200
    publisher.publish(known, unknown)
    moving_clock.walk(301)
    with monkeypatch.context() as busy:
        busy.setattr(Outgoing, "_send", full)
        assert post(world, known.assertion(world, "bank")).status_code == 200
        assert post(world, unknown.assertion(world, "bank")).status_code == 503
    assert post(world, unknown.assertion(world, "bank")).status_code == 200


# --- registration ---------------------------------------------------------------------------------------


def test_a_set_of_keys_with_a_private_one_is_refused(world: World) -> None:
    signer = Signer()
    for keys in (
        {"keys": [signer.key.as_dict(private=True) | {"kid": "k1"}]},
        {"keys": [signer.public(), {"kty": "oct", "k": "AAAA", "kid": "o"}]},
        {"keys": [signer.public(), signer.public()]},
        {"keys": [signer.public(use="enc")]},
        {"keys": [signer.public(alg="RS256")]},
        {"keys": []},
        {"keys": "x"},
        {},
        None,
    ):
        with pytest.raises(Invalid):
            register(world, "bank", jwks=keys)
    with pytest.raises(Invalid):
        register(world, "bank", jwks={"keys": [signer.public()]}, jwks_uri="https://bank.example/jwks")
    assert world.services.clients.get("bank") is None


def test_new_keys_replace_the_old_ones_at_once(world: World, signer: Signer) -> None:
    new = Signer(kid="k2")
    world.services.clients.set_keys("bank", {"keys": [new.public()]}, None)
    world.services.versions.forget()
    assert refused(world, post(world, signer.assertion(world, "bank")), "kid")
    assert post(world, new.assertion(world, "bank")).status_code == 200
    with pytest.raises(Invalid):
        world.services.clients.set_keys("bank", None, None)


@pytest.mark.parametrize("name", ["\ud800", "\u00e9", "a\nb", "a b", "x" * 129, "\x7f"])
def test_a_name_that_no_client_can_have_is_refused_and_counts_as_a_failure(
    make_world: Callable[..., World], name: str
) -> None:
    world = make_world(limit_address_failures="3/60")
    signer = Signer()
    statuses = [
        post(world, signer.assertion(world, "bank", iss=name, sub=name), path).status_code
        for path in ("/token", "/token", "/token", "/token")
    ]
    assert statuses == [401, 401, 401, 429]


def test_half_a_surrogate_pair_anywhere_in_an_assertion_is_refused(world: World, signer: Signer) -> None:
    for claims in ({"jti": "\ud800"}, {"extra": ["\udfff"]}, {"extra": {"\ud800": 1}}):
        assert refused(world, post(world, signer.assertion(world, "bank", **claims)), "format")


def test_what_a_stranger_sends_never_makes_redis_seem_lost(
    make_world: Callable[..., World], redis_server: RedisServer
) -> None:
    redis_server.flushall()
    world = make_world(redis_url=redis_server.url)
    junk = jws.sign({"alg": "ES256"}, {"iss": "\ud800", "sub": "\ud800"}, Signer().key)
    assert post(world, junk).status_code == 401
    for client_id in ("\ud800", "\u00e9", "x" * 500):
        world.services.throttle.guessing("token", "192.0.2.1", client_id)
        world.services.throttle.failed("token", "192.0.2.1", client_id)
    assert world.events("dependency.failed") == []
