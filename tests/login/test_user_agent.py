"""Browsers in words."""

from __future__ import annotations

import pytest

from authserver.login.user_agent import describe

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/156 Safari/537.36 Edg/156", "Edge on Windows"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) {WEBKIT} Version/19 Safari/605", "Safari on macOS"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 19 like Mac OS X) {WEBKIT} CriOS/156 Safari/604",
            "Chrome on iPhone",
        ),
        ("Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0", "Firefox on Android"),
        ("curl/8.5.0", "curl"),
        # nothing of the header itself: whoever logs in chose it
        ("A phone", "Unknown browser"),
        ("x" * 256, "Unknown browser"),
        ("<b>Firefox/1</b> Your bank says: press End", "Firefox"),
        ("Something on Linux", "A browser on Linux"),
        ("", "Unknown browser"),
        ("   ", "Unknown browser"),
    ],
)
def test_a_browser_is_told_in_words(user_agent: str, words: str) -> None:
    assert describe(user_agent) == words
