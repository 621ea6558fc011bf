"""Failures: what a caller is told, and what only the log knows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from flask import Flask
from plugins.app import World
from plugins.people import Browser

from authserver import metrics


def test_an_unhandled_exception_is_a_500_that_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret-detail")

    monkeypatch.setattr(world.services.server.tokens, "issue", broken)
    with caplog.at_level(logging.INFO):
        response = world.token()
    assert (response.status_code, response.json["error"]) == (500, "server_error")
    assert response.headers["X-Request-Id"]
    assert response.headers["Cache-Control"] == "no-store"
    assert "secret-detail" not in response.text
    row = world.events("error.unhandled")[-1]
    assert (row["reason"], row["outcome"]) == ("exception", "failed")
    assert row["request_id"] == response.headers["X-Request-Id"]
    monkeypatch.undo()
    assert world.token().status_code == 200


def test_nothing_here_and_wrong_methods_are_json(world: World) -> None:
    missing = world.send("GET", "/nowhere")
    assert (missing.status_code, missing.json["error"]) == (404, "invalid_request")
    wrong = world.send("GET", "/token")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
def test_a_body_that_is_too_large_is_refused(world: World, path: str) -> None:
    response = world.post(path, body=b"a=" + b"b" * 70_000)
    assert (response.status_code, response.json["error"]) == (413, "invalid_request")


def test_readiness_says_what_is_missing(app: Flask, world: World) -> None:
    assert world.send("GET", "/readyz").json["status"] == "ready"
    from sqlalchemy import update

    from authserver.keys.store import table

    with world.services.database.writing() as connection:
        connection.execute(update(table).values(state="revoked"))
        connection.exec_driver_sql("UPDATE cache_version SET version = version + 1 WHERE name = 'keys'")
    world.services.versions.forget()
    response = world.send("GET", "/readyz")
    assert (response.status_code, response.json["dependency"]) == (503, "signing_key")
    world.services.versions.forget()
    token = world.token()
    assert (token.status_code, token.json["error"]) == (503, "temporarily_unavailable")
    assert token.headers["Retry-After"]
    assert world.events("token.issued") == []


def test_failures_of_ours_count_against_who_causes_them_and_are_told_once_a_window(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(limit_address_failures="3/60")

    def fail(*_: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(world.services.server, "token", fail)
    statuses = [world.token().status_code for _ in range(6)]
    assert statuses == [500] * 6
    monkeypatch.undo()
    # the address has used up its failures; others have not
    assert world.token().status_code == 429
    form = {"grant_type": "client_credentials", "scope": "payments:read"}
    assert world.post("/token", as_="svc1", form=form, address="192.0.2.99").status_code == 200
    assert len(world.events("error.unhandled")) == 3


def test_a_flood_past_a_full_queue_is_one_row_and_counts_in_the_metrics(
    world: World, make_browser: Callable[..., Browser]
) -> None:
    browser = make_browser()
    page = browser.get("/login")
    hasher = world.services.password_login._hasher
    with ExitStack() as stack:
        for _ in range(world.services.settings.login_hash_places):
            stack.enter_context(hasher.place())
        refused = metrics.hash_queue_refused._value.get()
        for _ in range(5):
            full = browser.submit(page, "/login", username="alice", password="not the right one")
            assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
        assert metrics.hash_queue_refused._value.get() == refused + 5
    world.services.audit.flush_late()
    assert [row["reason"] for row in world.events("dependency.failed")] == ["hash_queue"]
    # and nobody's attempts were counted for it
    assert browser.log_in().status_code == 303
