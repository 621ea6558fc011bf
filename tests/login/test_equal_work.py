"""Unknown, wrong, locked, disabled: the same answer for the same work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from flask import Flask
from plugins.app import World
from plugins.people import PASSWORD, Browser, add_user, hidden_fields
from sqlalchemy import event
from test_query_budgets import statements

from authserver.app import services_of
from authserver.services import Services

CASES = ("ghost", "alice", "locked", "disabled", "invited")


@pytest.fixture
def people(services: Services, alice: str) -> None:
    add_user(services, "invited", None)
    services.users.disable(add_user(services, "disabled"))
    add_user(services, "locked")
    from authserver.login import Browser as Place

    for _ in range(5):
        services.password_login.attempt("locked", "wrong", Place("", "", None))


@pytest.mark.spec("ASVS 5.0", "6.3.8")
def test_the_answers_are_identical_to_the_byte(app: Flask, people: None) -> None:
    browser = Browser(app)
    page = browser.get("/login")
    answers = []
    for name in CASES:
        for password in ("wrong-password-1", PASSWORD):
            if (name, password) == ("alice", PASSWORD):
                continue
            answer = browser.submit(page, "/login", username=name, password=password)
            headers = {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}
            answers.append((answer.status_code, headers, answer.text))
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)
    assert all(name not in answers[0][2] for name in CASES)


def test_the_statements_and_writes_are_as_many(app: Flask, people: None) -> None:
    services = services_of(app)
    browser = Browser(app)
    fields = hidden_fields(browser.get("/login").text, "/login")
    seen: dict[str, list[str]] = {}
    for name in CASES:
        with statements(services) as done:
            browser.post("/login", fields | {"username": name, "password": "wrong-password-1"})
        seen[name] = [s.split()[0] for s in done if not s.startswith("SELECT cache_version")]
    # the row that an attempt changes, or the decoy in its place; what risk reads, a look for the key, the row
    reads = ["SELECT"] * 4
    assert seen["alice"] == ["SELECT", "UPDATE", *reads, "INSERT"]
    for name in CASES:
        if name != "alice":
            assert seen[name] == ["SELECT", "UPDATE", "INSERT", *reads, "INSERT"], name


def test_the_fifth_failure_in_a_row_costs_no_more_statements_or_commits(app: Flask, people: None) -> None:
    services = services_of(app)
    done: dict[str, list[tuple[int, int]]] = {}
    commits: list[object] = []
    event.listen(services.database.engine, "commit", commits.append)
    for name in ("alice", "ghost"):
        browser = Browser(app)
        fields = hidden_fields(browser.get("/login").text, "/login")
        for _ in range(6):
            commits.clear()
            with statements(services) as seen:
                browser.post("/login", fields | {"username": name, "password": "wrong-password-1"})
            writes = [s for s in seen if s.startswith("INSERT INTO audit_event")]
            done.setdefault(name, []).append((len(writes), len(commits)))
    # audit rows are a statement that is its own transaction
    assert done["alice"] == done["ghost"] == [(1, 1)] * 6
    blocked = [row["event"] for row in World(app, services).events() if row["reason"] == "five_failures"]
    assert blocked == ["account.blocked"] * 2  # locked's, and alice's


def test_the_medians_of_time_spent_are_within_a_twentieth_of_a_hash(make_app: Callable[..., Flask]) -> None:
    app = make_app(argon2_memory_kib=19456, argon2_time_cost=2)
    services = services_of(app)
    add_user(services, "alice")
    add_user(services, "locked")
    browser = Browser(app)
    fields = hidden_fields(browser.get("/login").text, "/login")
    hasher = services.password_login._hasher
    began = time.thread_time()
    for _ in range(10):
        hasher.verify(None, "x")
    hash_seconds = (time.thread_time() - began) / 10
    from authserver.users.registry import users

    unlock = users.update().where(users.c.username == "alice").values(failures=0, locked_until=None)
    lock = users.update().where(users.c.username == "locked").values(failures=5, locked_until=2**40)
    with services.database.writing() as connection:
        connection.execute(lock)
    medians: list[float] = []
    # what the machine does beside this shows now and then, what an answer costs shows every time
    for _ in range(3):
        times: dict[str, list[float]] = {name: [] for name in ("ghost", "alice", "locked")}
        for _ in range(60):
            for name, taken in times.items():
                began = time.thread_time()
                browser.post("/login", fields | {"username": name, "password": "wrong-password-1"})
                taken.append(time.thread_time() - began)
            with services.database.writing() as connection:
                connection.execute(unlock)
        medians = [statistics.median(taken) for taken in times.values()]
        if max(medians) - min(medians) < 0.05 * hash_seconds:
            break
    assert max(medians) - min(medians) < 0.05 * hash_seconds, (hash_seconds, medians)
