"""Purging: what is over goes, what is not stays, in batches."""

from __future__ import annotations

import pytest
from plugins.app import Moving, World
from sqlalchemy import func, insert, select

from authserver.audit import Entry, Event
from authserver.db import Database, table_of
from authserver.models.client import ClientSecret
from authserver.models.replay import Replay
from authserver.models.token import Revocation
from authserver.oauth.revocation import SLACK
from authserver.purge import purge


def count(database: Database, model: type) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()


def test_what_is_over_goes_and_what_is_not_stays(world: World, moving_clock: Moving) -> None:
    services, now = world.services, int(moving_clock.at)
    for n, expires_at in enumerate((now - 1, now, now + 1, now + 1000)):
        assert services.replay.claim("test", str(n), expires_at)
        services.revocations.end("jti", str(n), expires_at - SLACK, Entry(Event.TOKEN_REVOKED))
    secrets = count(services.database, ClientSecret)
    services.clients.rotate_secret("svc1", overlap=60)
    assert count(services.database, ClientSecret) == secrets + 1
    assert purge(services.database) == {"replay": 2, "revocation": 2, "client_secret": 0}
    assert count(services.database, Replay) == count(services.database, Revocation) == 2
    # a value that is over may come again, one that is not may not
    assert services.replay.claim("test", "0", now + 5)
    assert not services.replay.claim("test", "2", now + 5)
    moving_clock.walk(60)
    assert purge(services.database) == {"replay": 2, "revocation": 1, "client_secret": 1}
    assert count(services.database, ClientSecret) == secrets
    assert purge(services.database) == {"replay": 0, "revocation": 0, "client_secret": 0}


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
