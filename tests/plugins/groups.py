"""Tests that share a server, a browser or an app share a worker when the suite runs in several processes.

pytest-xdist's own ``loadgroup`` appends a mark's group to the id of a test, which pytest 9.2 no longer lets
it do: it fell back, unheard, to a group for each test. Groups are read from the ids here.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# one group for all tests of these folders, and one for each of these modules: theirs is set up once
FOLDERS = frozenset({"browser", "interop"})
MODULES = frozenset(
    {
        "flows/test_database_lost.py",
        "flows/test_deployed.py",
        "flows/test_races.py",
        "flows/test_redis_lost.py",
        "flows/test_two_workers.py",
        "test_serving.py",
        "attacks/test_fuzz.py",
        "resource_server/test_replay.py",
    }
)
# cases of an area, which begins their ids, share an app on each database; those that need processes a server
CASE = re.compile(r"test_attack\[(sqlite|postgresql)-([A-Z]+)-")
SERVERS = re.compile(r"test_attack_on_(?:a_server|several_workers)\b")


def group_of(nodeid: str) -> str:
    """The name of the group of a test; its own id for a test that stands alone."""
    path, _, name = nodeid.partition("::")
    path = path.removeprefix("tests/")
    if (folder := path.partition("/")[0]) in FOLDERS:
        return folder
    if path in MODULES:
        return path
    if path == "attacks/test_attacks.py":
        if case := CASE.match(name):
            return f"attacks {case[1]} {case[2]}"
        if server := SERVERS.match(name):
            return server[0]
    return nodeid


class Groups(LoadScopeScheduling):
    """Each group goes to one worker, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None
