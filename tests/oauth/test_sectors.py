"""Sectors of pairwise clients: who may say that two clients are of one; nobody talks their way in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from journey import CALLBACK, VERIFIER, Journey, claims_of, refused
from plugins.app import World
from receiver import Receiver
from registering import invite, register, registered, update

from authserver.clients import sectors
from authserver.errors import Invalid
from authserver.outgoing import AT_ONCE

META = "invalid_client_metadata"
JSON = {"Content-Type": "application/json"}
OTHER = "https://rp.example/cb"
PAIRWISE: dict[str, Any] = {"redirect_uris": [CALLBACK], "subject_type": "pairwise"}
# What is asked here does not depend on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def sector() -> Iterator[Receiver]:
    """An address that lists both hosts' redirect URIs."""
    with Receiver() as receiver:
        receiver.page = json.dumps([CALLBACK, OTHER]).encode()
        receiver.page_headers = JSON
        yield receiver


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events("registration.rejected")]


def subject_at(world: World, told: dict[str, Any], journey: Journey) -> str:
    """What the client's ID token calls the person."""
    uri = told["redirect_uris"][0]
    code = journey.code(told["client_id"], scope="openid", redirect_uri=uri)
    answer = journey.redeem(code, told["client_id"], redirect_uri=uri, code_verifier=VERIFIER)
    assert answer.status_code == 200, answer.data
    return str(claims_of(answer.json["id_token"])["sub"])


# --- which host it is -------------------------------------------------------------------------------


@pytest.mark.spec("OpenID Connect Core 1.0", "8.1")
def test_the_sector_is_the_one_host_of_all_redirect_uris_or_that_of_the_sector_identifier_uri(
    database_url: str,
) -> None:
    same = ["https://Shop.example/cb", "https://shop.example:8443/other", "https://shop.example./cb"]
    assert sectors.sector_of(same, None) == "shop.example"
    assert sectors.sector_of([*same, OTHER], "https://Sector.example/x.json") == "sector.example"
    for many in ([*same, OTHER], [], ["com.example.app:/cb"], ["http://127.0.0.1/cb"], ["http://[::1]/cb"]):
        with pytest.raises(Invalid):
            sectors.sector_of(many, None)


def test_no_app_is_in_one_sector_with_every_other_by_its_loopback_address(
    world: World, sector: Receiver
) -> None:
    app = {"application_type": "native", "token_endpoint_auth_method": "none", "subject_type": "pairwise"}
    for uri in ("http://127.0.0.1/cb", "com.example.app:/cb"):
        assert refused(register(world, app | {"redirect_uris": [uri]}), META)
    assert reasons(world) == ["sector"] * 2
    sector.page = json.dumps(["http://127.0.0.1/cb"]).encode()
    at = {"redirect_uris": ["http://127.0.0.1/cb"], "sector_identifier_uri": sector.uri}
    assert registered(world, app | at)["sector_identifier_uri"] == sector.uri


# --- what its address must say ----------------------------------------------------------------------


@pytest.mark.spec("OpenID Connect Registration 1.0", "5")
def test_a_sector_identifier_uri_lists_every_redirect_uri_or_nothing_is_registered(
    world: World, sector: Receiver
) -> None:
    both = {"redirect_uris": [CALLBACK, OTHER], "sector_identifier_uri": sector.uri}
    told = registered(world, PAIRWISE | both)
    assert (told["subject_type"], told["sector_identifier_uri"]) == ("pairwise", sector.uri)
    # it is looked at for public clients too, and at every update
    sector.page = json.dumps([CALLBACK, OTHER + "/"]).encode()
    for subject_type in ("public", "pairwise"):
        assert refused(register(world, both | {"subject_type": subject_type}), META)
    assert refused(update(world, told, **PAIRWISE | both), META)
    assert reasons(world) == ["sector_identifier_uri"] * 3
    assert len(sector.heard) == 4


@pytest.mark.parametrize(
    "page",
    [
        b"", b"{", b"\xff", b"null", b"7", b"[7]", b"{}", b"[" * 20_000, b'"' + CALLBACK.encode() + b'"',
        json.dumps({CALLBACK: 1}).encode(), json.dumps([[CALLBACK]]).encode(),
        json.dumps([CALLBACK]).encode() + b" " * 70_000,
    ],
    ids=range(12),
)  # fmt: skip
def test_an_address_that_says_something_else_makes_no_sector(
    world: World, sector: Receiver, page: bytes
) -> None:
    sector.page = page
    assert refused(register(world, PAIRWISE | {"sector_identifier_uri": sector.uri}), META)
    assert reasons(world) == ["sector_identifier_uri"]


def test_an_answer_of_another_kind_makes_no_sector(world: World, sector: Receiver) -> None:
    asked = PAIRWISE | {"sector_identifier_uri": sector.uri}
    for status, headers in (
        (404, JSON),
        (500, JSON),
        # what others may have left at the host: a text, a picture, a page
        (200, {"Content-Type": "text/plain"}),
        (200, {"Content-Type": "image/png"}),
        (200, {"Content-Type": "text/html; charset=application/json"}),
        (200, {}),
        # nobody is followed to where somebody else answers
        (302, JSON | {"Location": "/elsewhere"}),
        (307, JSON | {"Location": "https://client.example/sector.json"}),
    ):
        sector.page_status, sector.page_headers = status, headers
        assert refused(register(world, asked), META), (status, headers)
    assert set(reasons(world)) == {"sector_identifier_uri"}
    assert all(sector.uri.endswith(heard.path) for heard in sector.heard)
    sector.page_status, sector.page_headers = 200, {"content-type": "Application/JSON ; charset=utf-8"}
    assert register(world, asked).status_code == 201


def test_nobody_is_asked_where_something_else_is_wrong_or_the_host_is_not_the_partners(
    world: World, sector: Receiver
) -> None:
    asked = PAIRWISE | {"sector_identifier_uri": sector.uri}
    assert refused(register(world, asked | {"scope": "admin"}), META)
    # of the policy: whoever can leave a file at a foreign host is not in its sector
    answer = register(world, asked, redirect_hosts=frozenset({"client.example"}))
    assert refused(answer, META)
    assert reasons(world) == ["scope", "sector_identifier_uri"]
    assert sector.heard == []


def test_a_name_that_leads_inside_is_not_asked_also_when_it_leads_elsewhere_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([["93.184.216.34", "10.0.0.5"], ["127.0.0.1"], ["::ffff:169.254.169.254"]])
    monkeypatch.setattr(world.services.outgoing, "_allowed", ())

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr("authserver.outgoing.socket.getaddrinfo", resolve)
    for _ in range(3):
        asked = PAIRWISE | {"sector_identifier_uri": "https://rp.example/sector.json"}
        assert refused(register(world, asked), META)
    assert next(answers, None) is None


# --- what people are called -------------------------------------------------------------------------


@pytest.mark.spec("OpenID Connect Core 1.0", "8")
def test_two_sectors_cannot_compare_people_and_two_clients_of_one_can(world: World, sector: Receiver) -> None:
    journey = Journey(world).prepare(clients={})
    first, second = registered(world, PAIRWISE), registered(world, PAIRWISE)
    other = registered(world, PAIRWISE | {"redirect_uris": [OTHER]})
    public = registered(world, {"redirect_uris": [CALLBACK]})
    called = {t["client_id"]: subject_at(world, t, journey) for t in (first, second, other, public)}
    assert called[public["client_id"]] == journey.user_id
    assert called[first["client_id"]] == called[second["client_id"]]
    assert len(set(called.values())) == 3


def test_people_keep_their_name_when_addresses_change_within_the_sector(
    world: World, sector: Receiver
) -> None:
    journey = Journey(world).prepare(clients={})
    told = registered(world, PAIRWISE)
    before = subject_at(world, told, journey)
    # subject_type is left out: it stays
    moved = update(world, told, redirect_uris=["https://client.example:8443/elsewhere"])
    assert moved.status_code == 200, moved.data
    assert moved.json["subject_type"] == "pairwise"
    assert subject_at(world, dict(moved.json), journey) == before


@pytest.mark.parametrize(
    "change",
    [
        {"subject_type": "public"},
        {"redirect_uris": [OTHER]},
        {"sector_identifier_uri": "the one of the receiver"},
    ],
    ids=["to everybody's own id", "to another host", "to another sector"],
)
def test_no_update_gives_people_another_name_at_a_client(
    world: World, sector: Receiver, change: dict[str, Any]
) -> None:
    """Whoever held both could tell who is who, and whoever moved into a sector would read its people."""
    told = registered(world, PAIRWISE)
    if "sector_identifier_uri" in change:
        change = {"sector_identifier_uri": sector.uri}
    assert refused(update(world, told, **PAIRWISE | change), META)
    assert reasons(world) == ["subject_changed"]
    kept = world.services.registrations.get(told["client_id"])
    assert kept is not None
    assert (kept.values["subject_type"], kept.values["sector"]) == ("pairwise", "client.example")
    public = registered(world, {"redirect_uris": [CALLBACK]})
    assert refused(update(world, public, **PAIRWISE), META)


def test_an_update_that_waits_for_its_sector_undoes_nothing_that_is_changed_meanwhile(
    world: World, sector: Receiver
) -> None:
    """Its partner says how long the address takes to answer."""
    clients = world.services.clients
    for change in (
        lambda told: clients.set_subjects(told["client_id"], "pairwise", None),
        lambda told: clients.set_redirect_uris(told["client_id"], [CALLBACK + "2"]),
        lambda told: clients.set_state(told["client_id"], "suspended"),
        lambda told: update(world, told, redirect_uris=[CALLBACK], client_name="Another"),
    ):
        told = registered(world, {"redirect_uris": [CALLBACK]})
        found: list[Any] = []

        def meanwhile(told: Any = told, change: Any = change, found: list[Any] = found) -> None:
            change(told)
            found.append(clients.get(told["client_id"]))

        sector.meanwhile = meanwhile
        answer = update(world, told, redirect_uris=[CALLBACK], sector_identifier_uri=sector.uri)
        assert (answer.status_code, answer.json["error"]) == (409, "temporarily_unavailable")
        assert [clients.get(told["client_id"])] == found
    assert reasons(world) == ["changed_meanwhile"] * 4


def test_an_invitation_says_by_which_ids_its_clients_know_people(world: World) -> None:
    narrow = {"subject_types": frozenset({"pairwise"})}
    plain = {"redirect_uris": [CALLBACK]}
    assert registered(world, plain, **narrow)["subject_type"] == "pairwise"
    assert refused(register(world, plain | {"subject_type": "public"}, **narrow), META)
    narrow = {"subject_types": frozenset({"public"})}
    assert registered(world, plain, **narrow)["subject_type"] == "public"
    assert refused(register(world, PAIRWISE, **narrow), META)
    assert reasons(world) == ["subject_type"] * 2


def test_who_has_to_wait_for_other_calls_is_told_to_come_again_and_loses_nothing(
    world: World, sector: Receiver
) -> None:
    token = invite(world, clients=1)
    asked = PAIRWISE | {"sector_identifier_uri": sector.uri}
    places = world.services.outgoing._places
    for _ in range(AT_ONCE // 2):
        assert places.acquire(blocking=False)
    answer = register(world, asked, token=token)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    for _ in range(AT_ONCE // 2):
        places.release()
    assert register(world, asked, token=token).status_code == 201
