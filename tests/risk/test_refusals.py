"""A right password that risk refuses: nothing about the answer tells it from a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmdb import write
from plugins.app import Moving, World
from plugins.factors import told
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from sqlalchemy import event, func, select
from test_query_budgets import statements

from authserver.db import table_of
from authserver.jobs import Jobs
from authserver.models.sign_in import SignIn

HOME, ABROAD = "192.0.2.20", "198.51.100.7"
WRONG = "not it at all, is it"
rows = table_of(SignIn)


@pytest.fixture
def world(make_world: Callable[..., World], tmp_path: Path, moving_clock: Moving) -> World:
    world = make_world(risk_geo_database=write(tmp_path / "places.mmdb"))
    add_user(world.services, "alice")
    assert Browser(world.app, HOME).log_in().status_code == 303
    moving_clock.walk(300)
    return world


def reasons(world: World) -> list[str]:
    return [row["reason"] for row in world.events() if row["event"] == "login.failed"]


def test_a_refusal_takes_the_statements_and_commits_of_a_wrong_password(world: World) -> None:
    held = Browser(world.app, ABROAD)
    fields = hidden_fields(held.get("/login").text, "/login")
    commits: list[object] = []
    event.listen(world.services.database.engine, "commit", commits.append)
    seen, answers = {}, {}
    for case, name, password in (
        ("wrong", "alice", WRONG),
        ("refused", "alice", PASSWORD),
        ("wrong again", "alice", WRONG),
    ):
        commits.clear()
        with statements(world.services) as done:
            answer = held.post("/login", fields | {"username": name, "password": password})
        seen[case] = ([s for s in done if not s.startswith("SELECT cache_version")], len(commits))
        headers = {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}
        answers[case] = (answer.status_code, headers, answer.text)
    assert reasons(world) == ["bad_password", "risk", "bad_password"]
    assert answers["wrong"] == answers["refused"] == answers["wrong again"]
    assert seen["wrong"] == seen["refused"] == seen["wrong again"]


def test_a_refusal_hashes_no_more_than_a_wrong_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher, hashed = world.services.password_login._hasher, []
    monkeypatch.setattr(hasher, "outdated", lambda _: True)
    make = hasher.hash
    monkeypatch.setattr(hasher, "hash", lambda text: (hashed.append(1), make(text))[1])
    assert Browser(world.app, ABROAD).log_in().status_code == 401
    assert reasons(world) == ["risk"]
    assert hashed == []
    assert Browser(world.app, HOME).log_in().status_code == 303
    assert hashed == [1]


def test_what_a_refusal_leaves_behind_is_written_after_the_answer(world: World) -> None:
    assert Browser(world.app, ABROAD).log_in().status_code == 401
    last = [row for row in world.events() if row["event"] == "risk.assessed"][-1]
    assert (last["outcome"], last["reason"]) == ("denied", "impossible_travel")
    refused = select(func.count()).select_from(rows).where(rows.c.verdict == "deny")

    def count() -> int:
        with world.services.database.reading() as connection:
            return int(connection.execute(refused).scalar_one())

    user = world.services.users.find("alice")
    assert user is not None
    assert (count(), told(world.app, user.user_id)) == (0, [])
    world.services.risk.settle()
    world.services.risk.settle()
    assert (count(), told(world.app, user.user_id)) == (1, ["sign_in_refused"])


def test_a_process_that_stops_in_order_leaves_no_refusal_unwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(world.services)
    monkeypatch.setattr(jobs, "run_due", lambda: None)
    jobs.start()
    assert Browser(world.app, ABROAD).log_in().status_code == 401
    user = world.services.users.find("alice")
    assert user is not None
    assert told(world.app, user.user_id) == []
    jobs.stop()
    assert told(world.app, user.user_id) == ["sign_in_refused"]
