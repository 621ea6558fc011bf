"""Chromium, the demo that it visits, and a watch over everything that pages do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from . import chromium
from .stage import Stage
from .watch import Watch


@pytest.fixture(scope="package")
def running_chromium() -> Iterator[Browser]:
    if reason := chromium.chromium_missing():
        pytest.skip(reason)
    with chromium.chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def stage(running_chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def open_context(running_chromium: Browser, stage: Stage) -> Iterator[Callable[..., BrowserContext]]:
    """Opens browsers that know nothing yet; in the end none of their pages has complained."""
    opened: list[tuple[BrowserContext, Watch]] = []

    def new(**options: Any) -> BrowserContext:
        context = chromium.open_context(running_chromium, **options)
        opened.append((context, Watch(context, stage.origins)))
        return context

    yield new
    for context, _ in opened:
        context.close()
    assert [problem for _, watch in opened for problem in watch.problems] == []


@pytest.fixture
def page(open_context: Callable[..., BrowserContext]) -> Page:
    return open_context().new_page()
