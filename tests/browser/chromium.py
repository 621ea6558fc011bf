"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

ARGUMENTS = [
    "--headless=new",
    # the tests may run as root, which Chromium's sandbox does not allow
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]
# for one step of a page, on a machine that is busy with other things
DEADLINE_MS = 20_000
# of a device with a passkey in it, as phones and laptops are
PLATFORM = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 800},
    "360": {"width": 360, "height": 740},
}


def chromium_missing() -> str | None:
    """Why no browser can be started here, or None."""
    return (
        None if shutil.which("chromium") else "Chromium is not installed (Debian: apt-get install chromium)"
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    expect.set_options(timeout=DEADLINE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


def open_context(browser: Browser, **options: Any) -> BrowserContext:
    """A browser that knows nothing yet, with a desktop's window unless ``options`` say otherwise.

    Its person wants no motion: colours change at once then, not in steps that nobody reads by.
    """
    usual = {"viewport": SIZES["desktop"], "reduced_motion": "reduce"}
    context = browser.new_context(**(usual | options))
    context.set_default_timeout(DEADLINE_MS)
    return context


def add_authenticator(page: Page, **options: Any) -> tuple[CDPSession, str]:
    """A virtual authenticator at ``page``: how to speak to it, and its id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": PLATFORM | options})
    return session, str(made["authenticatorId"])
