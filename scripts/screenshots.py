"""Pictures of every page into docs/screens: `make screenshots`, desktop and 360 px, light and dark."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from browser.chromium import SIZES, chromium, open_context  # noqa: E402
from browser.pages import PAGES, PICTURED  # noqa: E402
from browser.stage import Stage  # noqa: E402

FOLDER = ROOT / "docs" / "screens"
SCHEMES = ("light", "dark")
# No blinking caret is in a picture; system-ui is a font like those that most people have.
SETTLE = """() => new Promise((done) => {
  const fonts = "Inter, Roboto, 'Liberation Sans', system-ui";
  document.documentElement.style.setProperty("--pico-font-family", fonts);
  requestAnimationFrame(() => requestAnimationFrame(() => done(document.activeElement.blur())));
})"""


def main(names: list[str]) -> int:
    """Pictures of the pages that are named, or of all that the documentation shows."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, Stage(Path(directory)) as stage, chromium() as browser:
        for name in names or PICTURED:
            context = open_context(browser)
            page = context.new_page()
            PAGES[name](page, stage)
            page.evaluate(SETTLE)
            for size, viewport in SIZES.items():
                page.set_viewport_size(viewport)
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png", full_page=True)
            context.close()
            print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
