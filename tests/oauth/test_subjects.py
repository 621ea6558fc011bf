"""Pairwise subjects: what a client calls a person, and what nobody can make of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from plugins.app import MASTER, World
from sqlalchemy import delete, select

from authserver import crypto
from authserver.clients import ClientRecord
from authserver.oauth.subjects import Subjects, table

SECOND = "k2:" + crypto.b64u(bytes(range(32, 64)))


@pytest.fixture
def client(world: World) -> ClientRecord:
    found = world.services.clients.get("web1")
    assert found is not None
    return replace(found, subject_type="pairwise", sector="shop.example")


def subjects(world: World, master: str = MASTER) -> Subjects:
    """As a process has them that has just started."""
    return Subjects(world.services.database, crypto.MasterKeys.parse(master))


@pytest.mark.spec("OpenID Connect Core 1.0", "8.1")
def test_a_person_is_one_to_a_sector_and_another_to_every_other(world: World, client: ClientRecord) -> None:
    known = subjects(world)
    sibling = replace(client, client_id="web2")
    elsewhere = replace(client, sector="other.example")
    mine = known.subject_of(client, "u1")
    assert known.subject_of(sibling, "u1") == mine
    others = {known.subject_of(elsewhere, "u1"), known.subject_of(client, "u2"), "u1"}
    assert len(others | {mine}) == 4
    assert len(crypto.b64u_decode(mine)) == 32
    assert known.is_subject(client, mine, "u1")
    for wrong in (*others, "", "\ud800"):
        assert not known.is_subject(client, wrong, "u1")


def test_a_public_client_knows_people_by_their_own_id(world: World, client: ClientRecord) -> None:
    public = replace(client, subject_type="public")
    known = subjects(world)
    assert (known.subject_of(public, "u1"), known.session_of(public, "s1")) == ("u1", "s1")
    with world.services.database.reading() as connection:
        assert connection.execute(select(table)).first() is None


def test_sessions_do_not_tell_sectors_who_is_who(world: World, client: ClientRecord) -> None:
    known = subjects(world)
    elsewhere = replace(client, sector="other.example")
    assert len({known.session_of(client, "x"), known.session_of(elsewhere, "x"), "x"}) == 3
    # nor is one word of a person's the word for their session
    assert known.session_of(client, "x") != known.subject_of(client, "x")


def test_the_key_outlives_the_master_key_it_was_made_under(world: World, client: ClientRecord) -> None:
    before = subjects(world).subject_of(client, "u1")
    both = subjects(world, f"{SECOND},{MASTER}")
    assert both.subject_of(client, "u1") == before
    assert both.sealed_by_another()
    both.reseal()
    assert not both.sealed_by_another()
    # the old one may go
    assert subjects(world, SECOND).subject_of(client, "u1") == before


def test_without_its_key_in_the_database_nobody_is_known_again(world: World, client: ClientRecord) -> None:
    before = subjects(world).subject_of(client, "u1")
    with world.services.database.writing() as connection:
        connection.execute(delete(table))
    # the master key alone does not make it
    assert subjects(world).subject_of(client, "u1") != before


def test_processes_that_start_at_once_agree_on_one_key(world: World, client: ClientRecord) -> None:
    fresh = [subjects(world) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(lambda known: known.subject_of(client, "u1"), fresh))
    assert len(told) == 1
