"""Scopes that go while tokens are out, and people whom nobody should have asked."""

from __future__ import annotations

from sqlalchemy import update

from authserver.cache import raise_version
from authserver.db import table_of
from authserver.models.client import Client

from ..runner import Run

clients = table_of(Client)


def lose_scope(run: Run, client: str, scope: str) -> None:
    """The client may no longer have this scope."""
    services = run.world.services
    known = services.clients.get(client)
    assert known is not None and scope in known.scopes
    with services.database.writing() as connection:
        values = {
            "scopes": sorted(known.scopes - {scope}),
            "version": raise_version(connection, "clients"),
        }
        connection.execute(update(clients).where(clients.c.client_id == client).values(values))
    services.versions.forget()


def rewrite_scope(run: Run, scope: str, sentence: str) -> None:
    """An operator describes the scope in other words."""
    run.world.services.scopes.describe(scope, sentence)
    run.world.services.versions.forget()


def nobody_was_asked(run: Run, user: str) -> None:
    """No password of the person was looked at: nothing counts against them, and no login is on record."""
    person = run.person(user)
    assert run.world.services.users.must(person.user_id).failures == 0
    told = [row["event"] for row in run.world.events() if row["user_id"] == person.user_id]
    assert not [event for event in told if event.startswith(("login.", "session.", "account."))], told
