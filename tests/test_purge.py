"""Purging: what is over goes, what is not stays, in batches."""

from __future__ import annotations

import pytest
from journey import Journey, refused
from plugins.app import Moving, World
from sqlalchemy import func, insert, select

from authserver.audit import Entry, Event
from authserver.db import Database, table_of
from authserver.models.client import ClientSecret
from authserver.models.replay import Replay
from authserver.models.token import Revocation
from authserver.oauth.authorization_request import AuthorizationRequest
from authserver.oauth.revocation import SLACK
from authserver.purge import purge


def count(database: Database, model: type) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()


def purged(database: Database) -> tuple[int, int, int]:
    gone = purge(database)
    return gone["replay"], gone["revocation"], gone["client_secret"]


def test_what_is_over_goes_and_what_is_not_stays(world: World, moving_clock: Moving) -> None:
    services, now = world.services, int(moving_clock.at)
    for n, expires_at in enumerate((now - 1, now, now + 1, now + 1000)):
        assert services.replay.claim("test", str(n), expires_at)
        services.revocations.end("jti", str(n), expires_at - SLACK, Entry(Event.TOKEN_REVOKED))
    secrets = count(services.database, ClientSecret)
    services.clients.rotate_secret("svc1", overlap=60)
    assert count(services.database, ClientSecret) == secrets + 1
    assert purged(services.database) == (2, 2, 0)
    assert count(services.database, Replay) == count(services.database, Revocation) == 2
    # a value that is over may come again, one that is not may not
    assert services.replay.claim("test", "0", now + 5)
    assert not services.replay.claim("test", "2", now + 5)
    moving_clock.walk(60)
    assert purged(services.database) == (2, 1, 1)
    assert count(services.database, ClientSecret) == secrets
    assert purged(services.database) == (0, 0, 0)


def test_audit_events_are_never_purged(world: World, moving_clock: Moving) -> None:
    before = len(world.events())
    moving_clock.walk(10 * 365 * 86_400)
    purge(world.services.database)
    assert len(world.events()) == before > 0


def test_a_table_larger_than_a_batch_is_emptied_in_several_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = world.services.database
    monkeypatch.setattr("authserver.purge.BATCH", 10)
    rows = [{"purpose": "test", "value": n.to_bytes(32), "expires_at": 1} for n in range(35)]
    with database.writing() as connection:
        connection.execute(insert(table_of(Replay)), rows)
    writings = 0
    writing = database.writing

    def counted() -> object:
        nonlocal writings
        writings += 1
        return writing()

    monkeypatch.setattr(database, "writing", counted)
    assert purge(database)["replay"] == 35
    assert writings == 4
    assert count(database, Replay) == 0


def test_an_authorization_goes_with_all_its_codes_and_tokens_once_none_of_them_matters(
    world: World, moving_clock: Moving
) -> None:
    journey = Journey(world).prepare()
    offline = journey.tokens()
    journey.refresh(offline["refresh_token"])
    journey.tokens(scope="openid accounts:read")
    assert vars(journey.rows()) == {"authorizations": 2, "codes": 2, "refresh_tokens": 3}
    # the session's: 12 hours, and as long as an access token of the last moment may live
    moving_clock.walk(43_200 + 3600)
    purge(world.services.database)
    assert journey.rows().authorizations == 2
    moving_clock.walk(60)
    gone = purge(world.services.database)
    assert (gone["authorization"], gone["authorization_code"], gone["refresh_token"]) == (1, 1, 1)
    # a spent refresh token is known for as long as its family could live
    assert refused(journey.refresh(offline["refresh_token"]))
    assert journey.reasons("grant.replay_detected") == ["refresh_token"]
    moving_clock.walk(30 * 86_400)
    purge(world.services.database)
    assert vars(journey.rows()) == {"authorizations": 0, "codes": 0, "refresh_tokens": 0}


def test_a_request_nobody_answered_can_be_cancelled_for_an_hour_and_is_gone_then(
    world: World, moving_clock: Moving
) -> None:
    services = world.services
    id_ = services.interactions.open(AuthorizationRequest("web1", "https://client.example/cb"))
    moving_clock.walk(900 + 3599)
    assert purge(services.database)["interaction"] == 0
    moving_clock.walk(1)
    assert purge(services.database)["interaction"] == 1
    assert services.interactions.read(id_) is None
