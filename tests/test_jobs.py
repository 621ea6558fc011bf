"""Background jobs: one process of the fleet at a time, another when that one is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from plugins.app import Moving, World
from sqlalchemy import text

from authserver import leases
from authserver.app import services_of
from authserver.audit import Entry, Event
from authserver.errors import Unavailable
from authserver.jobs import Job, Jobs
from authserver.leases import LEASE_MS, give_back, holder, states, take
from authserver.services import Services

# What is asked here does not depend on the database; the others are asked of both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def jobs(services: Services) -> Jobs:
    return Jobs(services)


def test_a_lease_is_one_holders_until_it_runs_out(services: Services, moving_clock: Moving) -> None:
    database = services.database
    assert take(database, "job", "one")
    assert not take(database, "job", "two")
    moving_clock.walk(LEASE_MS / 1000 / 2)
    # whoever holds it holds it longer each time
    assert take(database, "job", "one")
    moving_clock.walk(LEASE_MS / 1000 - 0.001)
    assert not take(database, "job", "two")
    moving_clock.walk(0.002)
    assert take(database, "job", "two")
    assert not take(database, "job", "one")


def test_leases_on_different_jobs_have_nothing_to_do_with_each_other(services: Services) -> None:
    assert take(services.database, "job", "one")
    assert take(services.database, "other", "two")


def test_a_lease_given_back_is_free_at_once(services: Services) -> None:
    for job in ("job", "other"):
        assert take(services.database, job, "one")
    assert take(services.database, "third", "two")
    give_back(services.database, "one")
    assert take(services.database, "job", "two")
    assert take(services.database, "other", "two")
    assert not take(services.database, "third", "one")


def test_of_many_who_want_a_free_or_expired_lease_one_gets_it(
    services: Services, moving_clock: Moving
) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(10):
            won = list(pool.map(lambda who: take(services.database, "job", who), map(str, range(8))))
            assert won.count(True) == 1, round_
            moving_clock.walk(LEASE_MS / 1000 + 1)


@on_sqlite
def test_a_job_runs_when_it_is_due_and_needed_and_not_before(
    services: Services, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, ran, needed = [100.0], [], [False]
    monkeypatch.setattr("authserver.clock.monotonic", lambda: at[0])
    jobs.jobs = (
        Job("hourly", 3600, lambda: ran.append("hourly")),
        Job("on demand", 1, lambda: ran.append("on demand"), lambda: needed[0]),
    )
    jobs.run_due()
    jobs.run_due()
    assert ran == ["hourly"]
    needed[0] = True
    at[0] += 1
    jobs.run_due()
    assert ran == ["hourly", "on demand"]
    at[0] += 3600
    needed[0] = False
    jobs.run_due()
    assert ran == ["hourly", "on demand", "hourly"]


def test_a_job_whose_lease_another_process_holds_does_not_run_here(services: Services, jobs: Jobs) -> None:
    ran: list[int] = []
    jobs.jobs = (Job("job", 0, lambda: ran.append(1)),)
    assert take(services.database, "job", "another")
    jobs.run_due()
    assert ran == []
    assert [(s.job, s.holder, s.last_run) for s in states(services.database)] == [("job", "another", None)]


@on_sqlite
def test_an_error_is_on_record_until_the_next_run_succeeds_and_stops_no_other_job(
    services: Services, jobs: Jobs, moving_clock: Moving
) -> None:
    fails = [True]

    def work() -> None:
        if fails[0]:
            raise ZeroDivisionError

    ran: list[int] = []
    jobs.jobs = (Job("broken", 0, work), Job("fine", 0, lambda: ran.append(1)))
    jobs.run_due()
    told = {s.job: s for s in states(services.database)}
    assert told["broken"].last_error == "ZeroDivisionError"
    assert told["fine"].last_error is None
    assert ran == [1]
    fails[0] = False
    moving_clock.walk(5)
    jobs.run_due()
    state = {s.job: s for s in states(services.database)}["broken"]
    assert (state.last_error, state.last_run, state.holder) == (None, int(moving_clock.at), holder())


@on_sqlite
def test_health_shows_the_jobs_and_their_errors(world: World, jobs: Jobs) -> None:
    def work() -> None:
        raise ZeroDivisionError

    jobs.jobs = (Job("broken", 0, work),)
    jobs.run_due()
    answer = world.send("GET", "/readyz")
    assert answer.status_code == 200
    assert answer.json["jobs"]["broken"]["last_error"] == "ZeroDivisionError"
    assert answer.json["jobs"]["broken"]["last_run"] >= time.time() - 5


def test_the_thread_seals_within_a_second_and_gives_its_leases_back(world: World, jobs: Jobs) -> None:
    jobs.start()
    try:
        world.services.audit.record(Entry(Event.AUDIT_READ))
        deadline = time.monotonic() + 5
        while world.services.sealer.pending() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not world.services.sealer.pending()
        ran: set[str] = set()
        while ran != {"audit_seal", "key_rotation", "purge", "registrations"} and time.monotonic() < deadline:
            ran = {s.job for s in states(world.services.database) if s.last_run}
        assert ran == {"audit_seal", "key_rotation", "purge", "registrations"}
        assert not take(world.services.database, "audit_seal", "another")
    finally:
        jobs.stop()
    assert take(world.services.database, "audit_seal", "another")


@on_sqlite
def test_the_thread_outlives_errors_of_any_kind(
    services: Services, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserver.jobs.TICK", 0.01)
    problems: list[Exception] = [Unavailable("database"), ZeroDivisionError()]
    rounds: list[int] = []

    def round_() -> None:
        rounds.append(1)
        if problems:
            raise problems.pop()

    monkeypatch.setattr(jobs, "run_due", round_)
    jobs.start()
    deadline = time.monotonic() + 5
    while len(rounds) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    jobs.stop()
    assert len(rounds) >= 5


@on_sqlite
def test_two_processes_of_one_fleet_share_the_jobs_between_them(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two apps on one database, each thinking it is a process of its own."""
    fleet = [Jobs(services_of(make_app())) for _ in range(2)]
    ran: list[str] = []
    for name, jobs in zip(("host:1", "host:2"), fleet, strict=True):
        jobs.jobs = (Job("job", 0, lambda name=name: ran.append(name)),)  # type: ignore[misc]
    for name, jobs in zip(("host:1", "host:2") * 3, fleet * 3, strict=True):
        monkeypatch.setattr(leases, "holder", lambda name=name: name)
        jobs.run_due()
    assert ran == ["host:1"] * 3


def test_the_sealer_is_asked_only_when_a_row_waits(services: Services) -> None:
    services.sealer.seal()
    assert not services.sealer.pending()
    services.audit.record(Entry(Event.AUDIT_READ))
    assert services.sealer.pending()
    assert services.sealer.seal() == 1
    with services.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_event WHERE seq IS NULL")).scalar() == 0
