"""Tests that share a server, a browser or an app share a worker when the suite runs in several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
# one group for all tests in these folders, and one for each module in those
FOLDERS = frozenset({"browser", "interop"})
MODULES = frozenset({"flows", "test_serving.py", "test_fuzz.py", "test_replay.py"})


def group_of(item: pytest.Item) -> str | None:
    """The name of the group of ``item``; None for a test that stands alone."""
    if not item.path.is_relative_to(TESTS):
        return None
    parts = item.path.relative_to(TESTS).parts
    if parts[0] in FOLDERS:
        return parts[0]
    if MODULES & {parts[0], parts[-1]}:
        return "/".join(parts)
    if parts == ("attacks", "test_attacks.py") and isinstance(item, pytest.Function):
        # cases of an area share an app, those that need processes share a server
        values = item.callspec.params
        shared = values["case"].area if "world_of" in values else item.originalname
        return f"attacks {shared} {values.get('world_of', '')}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
