"""What a User-Agent header says, in words for people. A claim of the browser's, never a proof."""

from __future__ import annotations

from ..texts import Text

# (what the header holds, what it means); the first that fits counts, for many browsers name others too
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def kind_of(user_agent: str) -> str:
    """The kind of browser and system, without their versions: an update leaves it as it is."""
    browser, system = _marks(user_agent)
    if browser or system:
        return f"{browser}/{system}"
    return user_agent.partition("/")[0].strip()[:64]


def describe(user_agent: str) -> Text:
    """Such as ``Firefox on Windows``. Nothing of the header itself is in it: whoever logs in wrote that."""
    browser, system = _marks(user_agent)
    if browser and system:
        return Text("%(browser)s on %(system)s", browser=browser, system=system)
    if browser:
        return Text(browser)
    return Text("A browser on %(system)s", system=system) if system else Text("Unknown browser")


def _marks(user_agent: str) -> tuple[str, str]:
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    return browser, next((name for mark, name in SYSTEMS if mark in user_agent), "")
