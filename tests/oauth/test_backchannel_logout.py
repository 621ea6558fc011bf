"""Back-channel logout: who hears of the end of a session, what they are told, and what happens if not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from assertions import Signer
from flask import Flask
from journey import CALLBACK, Journey, claims_of
from plugins.app import ISSUER, Moving, World
from receiver import Receiver, verified
from sqlalchemy import select, update

from authserver import clock, leases
from authserver.app import services_of
from authserver.db import table_of
from authserver.errors import Invalid, Unavailable
from authserver.jobs import Jobs
from authserver.models.authorization import Authorization
from authserver.models.logout import LogoutDelivery
from authserver.oauth.backchannel_logout import ATTEMPTS, DELAYS, EVENT
from authserver.outgoing import AT_ONCE, Answer
from authserver.purge import purge

table = table_of(LogoutDelivery)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def other() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def journey(world: World, receiver: Receiver) -> Journey:
    """``shop`` hears of logouts."""
    made = Journey(world).prepare()
    hears(world, "shop", receiver)
    return made


def hears(world: World, client_id: str, receiver: Receiver) -> None:
    world.services.clients.set_logout(client_id, [], receiver.uri)
    world.services.versions.forget()


def sign_out(journey: Journey) -> None:
    assert journey.world.services.sessions.end(journey.session.sid, "logout")


def waiting(world: World) -> list[tuple[str, int]]:
    with world.services.database.reading() as connection:
        rows = connection.execute(select(table).order_by(table.c.client_id))
        return [(row.client_id, row.attempts) for row in rows]


def deliver(world: World) -> int:
    return world.services.backchannel_logout.deliver()


def outcomes(world: World) -> list[tuple[str, str, str, int]]:
    names = ("logout.backchannel.sent", "logout.backchannel.failed")
    rows = [row for row in world.events() if row["event"] in names]
    return [(row["client_id"], row["outcome"], row["reason"], row["detail"]["attempts"]) for row in rows]


@pytest.mark.spec("OpenID Connect Back-Channel Logout 1.0", "2.4")
def test_a_client_is_told_which_person_and_session_and_nothing_else(
    world: World, journey: Journey, receiver: Receiver
) -> None:
    id_token = claims_of(journey.tokens("shop")["id_token"])
    sign_out(journey)
    assert receiver.heard == []  # not in the thread of whoever signs out
    assert deliver(world) == 1
    (heard,) = receiver.heard
    assert (heard.method, heard.path) == ("POST", "/backchannel-logout?tenant=1")
    assert heard.content_type == "application/x-www-form-urlencoded"
    claims = verified(world, heard.token)
    now = clock.now()
    assert now - 5 <= claims["iat"] <= now
    assert claims["exp"] - claims["iat"] == 120
    assert len(claims["jti"]) == 22
    assert (claims["sub"], claims["sid"]) == (id_token["sub"], id_token["sid"])
    assert (claims["iss"], claims["aud"], claims["events"]) == (ISSUER, "shop", {EVENT: {}})
    # §2.4: "A nonce Claim MUST NOT be present."
    assert set(claims) == {"iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"}
    assert outcomes(world) == [("shop", "succeeded", "", 1)]
    assert waiting(world) == []
    assert deliver(world) == 0


def test_a_logout_token_is_no_token_of_another_kind(
    world: World, journey: Journey, receiver: Receiver
) -> None:
    journey.tokens("shop")
    sign_out(journey)
    deliver(world)
    token = receiver.heard[0].token
    assert journey.userinfo(token).status_code == 401
    assert world.post("/introspect", as_="rs_accounts", form={"token": token}).json == {"active": False}
    response = world.send("GET", "/end_session", query=f"id_token_hint={token}")
    assert response.status_code == 400


@pytest.mark.parametrize("alg", ["RS256", "PS256", "EdDSA"])
@on_sqlite
def test_it_is_signed_as_the_clients_id_tokens_are(world: World, receiver: Receiver, alg: str) -> None:
    journey = Journey(world).prepare()
    world.services.rotation.ensure(alg)
    values = {
        "client_id": "bank", "client_name": "bank", "state": "active", "profile": "oauth21", "tier": "gold",
        "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["authorization_code"],
        "redirect_uris": [CALLBACK], "scopes": ["openid"], "id_token_alg": alg,
        "backchannel_logout_uri": receiver.uri, "backchannel_logout_session_required": True,
    }  # fmt: skip
    _, secret = world.services.clients.create(values)
    world.methods["bank"], world.secrets["bank"] = "client_secret_basic", str(secret)
    journey.tokens("bank", scope="openid")
    sign_out(journey)
    assert deliver(world) == 1
    assert verified(world, receiver.heard[0].token, alg)["aud"] == "bank"


def test_everybody_who_got_an_id_token_in_the_session_hears_once_and_nobody_else(
    world: World, journey: Journey, receiver: Receiver, other: Receiver
) -> None:
    for client_id in ("rival", "spa", "once"):
        hears(world, client_id, other)
    for _ in range(2):
        journey.tokens("shop")
    journey.tokens("rival", scope="openid")
    journey.tokens("spa", scope="accounts:read")  # no ID token
    first = journey.session
    journey.log_in()
    journey.tokens("once", scope="openid")  # another session
    assert world.services.sessions.end(first.sid, "logout")
    assert waiting(world) == [("rival", 0), ("shop", 0)]
    assert deliver(world) == 2
    assert [verified(world, heard.token)["aud"] for heard in receiver.heard] == ["shop"]
    assert [verified(world, heard.token)["aud"] for heard in other.heard] == ["rival"]
    assert {verified(world, heard.token)["sid"] for heard in receiver.heard + other.heard} == {first.sid}


def test_a_client_whose_code_was_never_used_and_never_can_be_hears_nothing(
    world: World, journey: Journey, moving_clock: Moving
) -> None:
    journey.log_in()
    journey.code("shop")
    moving_clock.walk(61)
    sign_out(journey)
    assert waiting(world) == []


def test_a_client_that_may_still_use_its_code_hears_of_it(world: World, journey: Journey) -> None:
    journey.code("shop")
    sign_out(journey)
    assert waiting(world) == [("shop", 0)]


@pytest.mark.parametrize("way", ["by_user", "disabled", "everywhere", "another person", "one too many"])
@on_sqlite
def test_every_way_in_which_a_session_is_ended_is_told(
    world: World, journey: Journey, moving_clock: Moving, way: str
) -> None:
    sessions, users = world.services.sessions, world.services.users
    cookie = sessions.start(journey.user_id, acr="x", amr=("pwd",))
    journey.session = sessions.read(cookie)
    journey.tokens("shop")
    moving_clock.walk(1)
    if way == "by_user":
        sessions.end(journey.session.sid, way, journey.user_id)
    elif way == "disabled":
        users.disable(journey.user_id)
    elif way == "everywhere":
        sessions.end_all(journey.user_id, way)
    elif way == "another person":
        bob = users.create("bob", "bob@example.com", "Bob").user_id
        sessions.start(bob, acr="x", amr=("pwd",), previous=cookie)
    else:
        for _ in range(world.services.settings.sessions_per_user):
            sessions.start(journey.user_id, acr="x", amr=("pwd",))
    assert waiting(world) == [("shop", 0)]


def test_a_session_that_was_only_idle_for_too_long_is_told_by_nobody(
    world: World, journey: Journey, moving_clock: Moving
) -> None:
    sessions = world.services.sessions
    cookie = sessions.start(journey.user_id, acr="x", amr=("pwd",))
    journey.session = sessions.read(cookie)
    journey.tokens("shop")
    moving_clock.walk(301)
    assert sessions.read(cookie) is None
    assert waiting(world) == []


def test_what_ends_with_a_transaction_that_fails_is_told_to_nobody(world: World, journey: Journey) -> None:
    journey.tokens("shop")

    def fails() -> None:
        with world.services.database.writing() as connection:
            world.services.sessions.end_all_in(connection, journey.user_id, "by_user")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert waiting(world) == []


@pytest.mark.spec("OpenID Connect Back-Channel Logout 1.0", "2.8")
@pytest.mark.parametrize("status", [200, 204])
@on_sqlite
def test_both_ways_to_say_done_are_taken(
    world: World, journey: Journey, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    journey.tokens("shop")
    sign_out(journey)
    assert deliver(world) == 1
    assert waiting(world) == []


@pytest.mark.parametrize("status", [201, 202, 302, 400, 404, 429, 500, 503])
@on_sqlite
def test_every_other_answer_is_tried_again_later_and_later_then_given_up(
    world: World, journey: Journey, receiver: Receiver, moving_clock: Moving, status: int
) -> None:
    journey.log_in()
    receiver.status = status
    journey.tokens("shop")
    sign_out(journey)
    for number, delay in enumerate((*DELAYS, 0), 1):
        assert world.services.backchannel_logout.due()
        assert deliver(world) == 0
        assert len(receiver.heard) == number
        if number < ATTEMPTS:
            assert waiting(world) == [("shop", number)]
            moving_clock.walk(delay - 1)
            assert not world.services.backchannel_logout.due()
            assert deliver(world) == 0
            assert len(receiver.heard) == number
            assert outcomes(world) == []
            moving_clock.walk(1)
    assert waiting(world) == []
    assert outcomes(world) == [("shop", "failed", "refused", ATTEMPTS)]
    assert {heard.method for heard in receiver.heard} == {"POST"}  # a redirect is not followed
    # each try has a token of its own: a client that remembers jti does not mistake it for a replay
    assert len({claims_of(heard.token)["jti"] for heard in receiver.heard}) == ATTEMPTS


@on_sqlite
def test_a_client_that_comes_back_hears_of_it(
    world: World, journey: Journey, receiver: Receiver, moving_clock: Moving
) -> None:
    journey.log_in()
    receiver.status = 503
    journey.tokens("shop")
    sign_out(journey)
    deliver(world)
    moving_clock.walk(DELAYS[0])
    receiver.status = 200
    assert deliver(world) == 1
    assert outcomes(world) == [("shop", "succeeded", "", 2)]


@on_sqlite
def test_nobody_there_is_tried_again(world: World, journey: Journey) -> None:
    with Receiver() as gone:
        hears(world, "shop", gone)
    journey.tokens("shop")
    sign_out(journey)
    assert deliver(world) == 0
    assert waiting(world) == [("shop", 1)]


@pytest.mark.parametrize("change", ["suspended", "no address"])
@on_sqlite
def test_a_client_that_is_suspended_or_gave_up_its_address_is_not_called(
    world: World, journey: Journey, receiver: Receiver, change: str
) -> None:
    journey.tokens("shop")
    sign_out(journey)
    if change == "suspended":
        world.services.clients.set_state("shop", "suspended")
    else:
        world.services.clients.set_logout("shop", [], None)
    world.services.versions.forget()
    assert deliver(world) == 0
    assert (receiver.heard, waiting(world)) == ([], [])
    assert outcomes(world) == [("shop", "failed", "no_address", 1)]


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9/x#fragment", "ftp://shop.example/x", "//shop.example/x", "/x", "https://",
        "https://a b/",
        "https://user:pw@shop.example/x", "https://shop.example:0/x", "https://shop.example/\u00e9",
        "https://shop.example/" + "x" * 2048, "javascript:alert(1)", "com.example.app:/x",
    ],
)  # fmt: skip
@on_sqlite
def test_an_address_that_is_none_is_not_registered(world: World, journey: Journey, uri: str) -> None:
    with pytest.raises(Invalid):
        world.services.clients.set_logout("shop", [], uri)
    with pytest.raises(Invalid):
        world.services.clients.set_logout("shop", [uri], None)


@on_sqlite
def test_an_address_inside_is_not_called_even_if_it_is_registered(
    make_world: Callable[..., World], receiver: Receiver
) -> None:
    world = make_world(outgoing_allow=())
    journey = Journey(world).prepare()
    hears(world, "shop", receiver)
    journey.tokens("shop")
    sign_out(journey)
    assert deliver(world) == 0
    assert receiver.heard == []
    with world.services.database.writing() as connection:
        connection.execute(update(table).values(attempts=ATTEMPTS - 1, due_at=0))
    deliver(world)
    assert outcomes(world) == [("shop", "failed", "uri_blocked", ATTEMPTS)]


@on_sqlite
def test_addresses_that_hang_while_partners_register_keep_nobody_else_waiting(
    world: World, journey: Journey, receiver: Receiver
) -> None:
    hanging, entered, release = world.services.outgoing, threading.Semaphore(0), threading.Event()

    def hang(*_: object) -> Answer:
        entered.release()
        release.wait(10)
        return Answer(200, b"")

    signer = Signer()
    receiver.page = json.dumps({"keys": [signer.public()]}).encode()
    values = {"client_id": "bank", "client_name": "bank", "state": "active", "profile": "oauth21"}
    values |= {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": receiver.uri, "tier": "gold"}
    lists: dict[str, list[str]] = {
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "scopes": ["reports"],
    }
    world.services.clients.create(values | lists)
    world.methods["bank"] = "private_key_jwt"
    world.assertions["bank"] = lambda: signer.assertion(world, "bank")
    journey.tokens("shop")
    sign_out(journey)
    taken = AT_ONCE // 2
    with ThreadPoolExecutor(taken) as pool, pytest.MonkeyPatch.context() as patched:
        # the calls themselves: their places are taken as ever
        patched.setattr(hanging, "_exchange", hang)
        try:
            for _ in range(taken):
                pool.submit(hanging.get, "https://slow.example/sector.json", {})
            assert all(entered.acquire(timeout=10) for _ in range(taken))
            with pytest.raises(Unavailable):
                hanging.get("https://slow.example/sector.json", {})
            assert deliver(world) == 1
            assert world.token("bank", scope="reports").status_code == 200
        finally:
            release.set()


@on_sqlite
def test_a_client_that_fails_does_not_keep_the_others_waiting(
    world: World, journey: Journey, receiver: Receiver, other: Receiver
) -> None:
    hears(world, "rival", other)
    receiver.status = 500
    for _ in range(3):
        journey.tokens("shop")
        sign_out(journey)
        journey.log_in()
    journey.tokens("rival")
    sign_out(journey)
    assert deliver(world) == 1
    assert (len(receiver.heard), len(other.heard)) == (1, 1)


def test_a_row_is_one_workers_until_it_is_due_again(
    world: World, journey: Journey, receiver: Receiver
) -> None:
    journey.tokens("shop")
    sign_out(journey)
    seen: list[int] = []
    # while the call is under way another worker looks, lease or no lease
    receiver.meanwhile = lambda: seen.append(deliver(world))
    assert deliver(world) == 1
    assert seen == [0]
    assert len(receiver.heard) == 1


def test_of_many_workers_at_once_one_calls(
    world: World, journey: Journey, receiver: Receiver, make_app: Callable[..., Flask]
) -> None:
    fleet = [services_of(make_app()).backchannel_logout for _ in range(4)]
    for _ in range(3):
        journey.tokens("shop")
        sign_out(journey)
        journey.log_in()
    start = threading.Barrier(len(fleet))

    def work(number: int) -> int:
        start.wait()
        return fleet[number].deliver()

    with ThreadPoolExecutor(len(fleet)) as pool:
        assert sum(pool.map(work, range(len(fleet)))) == 3
    assert len(receiver.heard) == 3
    assert waiting(world) == []


def test_of_all_who_saw_a_row_that_was_due_one_claims_it(world: World, journey: Journey) -> None:
    journey.tokens("shop")
    sign_out(journey)
    room = world.services.backchannel_logout
    row = room._next(set())
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(room._claim, [row] * 8))
    assert [claim is not None for claim in claims].count(True) == 1
    assert waiting(world) == [("shop", 1)]


def test_what_a_worker_left_when_it_died_is_called_again(
    world: World, journey: Journey, receiver: Receiver, moving_clock: Moving
) -> None:
    journey.log_in()
    journey.tokens("shop")
    sign_out(journey)
    room = world.services.backchannel_logout
    assert room._claim(room._next(set())) is not None  # and then kill -9
    assert deliver(world) == 0
    moving_clock.walk(DELAYS[0])
    assert deliver(world) == 1
    assert len(receiver.heard) == 1


def test_the_job_runs_under_a_lease_in_a_thread_of_its_own_and_health_shows_it(
    world: World, journey: Journey, receiver: Receiver
) -> None:
    journey.tokens("shop")
    jobs = Jobs(world.services)
    slow = threading.Event()
    receiver.meanwhile = lambda: slow.wait(5)  # type: ignore[assignment, return-value]
    sign_out(journey)
    assert leases.take(world.services.database, "backchannel_logout", "another")
    jobs.run_calls()
    assert receiver.heard == []
    leases.give_back(world.services.database, "another")
    jobs.start()
    try:
        until(lambda: len(receiver.heard) == 1)
        # while a client lets us wait, the log is sealed all the same
        until(lambda: not world.services.sealer.pending())
        slow.set()
        until(lambda: waiting(world) == [])
        until(lambda: "backchannel_logout" in ran(world))
    finally:
        slow.set()
        jobs.stop()
    assert ran(world)["backchannel_logout"]["last_error"] is None


def ran(world: World) -> dict[str, dict[str, object]]:
    jobs = world.send("GET", "/readyz").json["jobs"]
    return {name: job for name, job in jobs.items() if job["last_run"]}


def until(holds: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + 10
    while not holds():
        assert clock.monotonic() < deadline
        threading.Event().wait(0.02)


def test_a_payment_long_approved_is_remembered_while_its_session_lives(
    world: World, journey: Journey, moving_clock: Moving
) -> None:
    """Its authorization is over after a minute; who got an ID token with it still hears of the logout."""
    journey.log_in()
    journey.tokens("shop", scope="openid")
    with world.services.database.writing() as connection:
        connection.execute(update(table_of(Authorization)).values(expires_at=clock.now()))
    moving_clock.walk(4 * 3600)
    assert purge(world.services.database)["authorization"] == 0
    sign_out(journey)
    assert waiting(world) == [("shop", 0)]
    assert purge(world.services.database)["authorization"] == 1
