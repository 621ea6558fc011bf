"""Every page is judged by axe-core, in light and dark, on a desktop and on a small phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from interop.node import FOLDER
from playwright.sync_api import Browser, Page

from . import chromium
from .chromium import SIZES
from .pages import PAGES
from .stage import Stage
from .watch import Watch

AXE = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES = ("light", "dark")
GRAVE = ("serious", "critical")
RUN = "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
# what sticks out at the right of the page, and would have to be scrolled to, or of the card that it is on
OVERFLOW = """() => {
  const right = (element) => element.getBoundingClientRect().right;
  const out = [...document.querySelectorAll("main *")].filter((element) => {
    const card = element.parentElement.closest("article, main");
    const padding = parseFloat(getComputedStyle(card).paddingRight);
    return right(element) > right(card) - padding + 0.5;
  });
  const { scrollWidth, clientWidth } = document.documentElement;
  const found = out.map((element) => element.outerHTML.slice(0, 120));
  return scrollWidth > clientWidth ? [`the page is ${scrollWidth} px wide`, ...found] : found;
}"""


def violations(page: Page) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def watched(running_chromium: Browser, stage: Stage) -> Iterator[tuple[Page, Watch]]:
    """One tab for every page, with what it had to complain of: a new browser for each costs as much again."""
    context = chromium.open_context(running_chromium)
    watch = Watch(context, stage.origins)
    yield context.new_page(), watch
    context.close()


@pytest.fixture
def tab(watched: tuple[Page, Watch]) -> Iterator[Page]:
    """The tab of a browser that knows nothing yet, on a desktop by day; it complained of nothing."""
    page, watch = watched
    page.goto("about:blank")
    page.context.clear_cookies()
    page.unroute_all()
    page.set_viewport_size(SIZES["desktop"])
    page.emulate_media(color_scheme=SCHEMES[0])
    watch.problems.clear()
    yield page
    assert watch.problems == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody_and_fits_on_a_small_phone(tab: Page, stage: Stage, name: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci --prefix tests/node)")
    page = tab
    PAGES[name](page, stage)
    # not by a script element, which the pages' content policy forbids
    page.evaluate(AXE.read_text())
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        assert page.evaluate(OVERFLOW) == [], size
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], f"{size}, {scheme}"
