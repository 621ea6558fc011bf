"""The documentation shows every page that it should, and nothing that is no longer there."""

from __future__ import annotations

import re

from .chromium import SIZES
from .pages import PICTURED
from .stage import ROOT

DOCS = ROOT / "docs"
MOST_BYTES = 10_000_000


def test_the_documentation_shows_a_picture_of_every_page_in_each_size_and_scheme() -> None:
    wanted = {
        f"{name}-{size}-{scheme}.png" for name in PICTURED for size in SIZES for scheme in ("light", "dark")
    }
    assert {path.name for path in (DOCS / "screens").iterdir()} == wanted
    shown = re.findall(r'<img src="screens/([^"]+)"', (DOCS / "pages.md").read_text())
    assert sorted(shown) == sorted(wanted)


def test_the_pictures_are_small_enough_to_be_kept_here() -> None:
    assert sum(path.stat().st_size for path in (DOCS / "screens").iterdir()) < MOST_BYTES
