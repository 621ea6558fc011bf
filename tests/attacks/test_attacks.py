"""Every case that can run, against the app over WSGI on both databases or against real server processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from mmdb import write
from plugins.app import World, populated

from authserver.app import services_of

from .actions import ACTIONS
from .conftest import Live
from .corpus import Case, runnable
from .invariants import Descriptions, check_chain
from .runner import Run
from .wire import LiveWire, WSGIWire


@pytest.mark.parametrize("case", [case for case in runnable("wsgi") if case.plain], ids=str)
def test_attack(case: Case, world_of: Callable[[str], World], descriptions: Descriptions) -> None:
    _run(world_of(case.area), descriptions).play(case, ACTIONS)


ALONE = [case for case in runnable("wsgi") if not case.plain]


@pytest.mark.parametrize("case", [case for case in ALONE if not case.pages], ids=str)
def test_attack_on_an_app_of_its_own(
    case: Case,
    make_app: Callable[..., Flask],
    descriptions: Descriptions,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    _play_alone(case, make_app, descriptions, tmp_path, request)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", [case for case in ALONE if case.pages], ids=str)
def test_attack_on_every_page(
    case: Case,
    make_app: Callable[..., Flask],
    descriptions: Descriptions,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    _play_alone(case, make_app, descriptions, tmp_path, request)


def _play_alone(
    case: Case,
    make_app: Callable[..., Flask],
    descriptions: Descriptions,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in case.settings.items()}
    redis = None
    if settings.get("redis_url"):
        server = request.getfixturevalue("redis_server")
        # the fleet counts beside it, and would tell a Redis that was emptied what it has counted
        redis = settings["redis_url"] = server.empty_beside()
    if settings.get("risk_geo_database"):
        # where addresses of documentation are: mmdb.PLACES
        settings["risk_geo_database"] = write(tmp_path / settings["risk_geo_database"])
    clock = None
    if case.clock:
        clock = request.getfixturevalue("moving_clock")
        # not before the keys of the database were made
        clock.at = float(int(time.time()))
    run = _run(populated(make_app(**settings)), descriptions)
    run.clock, run.redis = clock, redis
    try:
        run.play(case, ACTIONS)
        if not case.tampers:
            check_chain(run.world.services)
    finally:
        for app in run.apps:
            services_of(app).database.engine.dispose()


@pytest.mark.parametrize("case", runnable("live"), ids=str)
def test_attack_on_a_server(case: Case, live: Live, descriptions: Descriptions) -> None:
    _play_live(case, live, descriptions)


@pytest.mark.parametrize("case", runnable("fleet"), ids=str)
def test_attack_on_several_workers(case: Case, fleet: Live, descriptions: Descriptions) -> None:
    _play_live(case, fleet, descriptions)


def _run(world: World, descriptions: Descriptions) -> Run:
    return Run(world, WSGIWire(world.app, world.services.settings.issuer), descriptions)


def _play_live(case: Case, live: Live, descriptions: Descriptions) -> None:
    begin = live.server.log.stat().st_size
    run = Run(live.world, LiveWire(live.server.port, f"localhost:{live.server.port}"), descriptions)
    run.live = live.server
    run.more_logs = lambda: live.server.log.read_bytes()[begin:].decode("utf-8", "replace")
    run.play(case, ACTIONS)
