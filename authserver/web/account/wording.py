"""Times, browsers and places in the words of people."""

from __future__ import annotations

from datetime import UTC, datetime

from babel.dates import format_date
from markupsafe import Markup

from ...audit.personal import ERASED
from ...ip_allowlist import network_of
from ...login.user_agent import describe
from ...texts import Text
from ..guards import language, translated
from .blueprint import blueprint

# English as the British write it: no date here may be read as another
FORMATS = {"en": "en_GB"}
LOOPBACK = ("127.0.0.1", "::1")


@blueprint.app_template_filter("day")
def day(seconds: int) -> Markup:
    """A Unix time as a day for people: 24 November 2026 (UTC)."""
    return _time(seconds, "")


@blueprint.app_template_filter("moment")
def moment(seconds: int) -> Markup:
    """A Unix time for people: 24 November 2026, 14:05 UTC."""
    return _time(seconds, f", {datetime.fromtimestamp(seconds, UTC):%H:%M} UTC")


@blueprint.app_template_filter("device")
def device(user_agent: str) -> str:
    """A browser in words; nothing of what it sent is in them."""
    return translated(describe(user_agent))


@blueprint.app_template_filter("place")
def place(address: str) -> str:
    """Where an address is, as far as it is known."""
    if address in LOOPBACK:
        return translated(Text("this machine"))
    if address == ERASED:
        return translated(Text("an address that was erased"))
    network = network_of(address)
    known = Text("addresses %(network)s", network=network) if network else Text("an unknown address")
    return translated(known)


def _time(seconds: int, clock_time: str) -> Markup:
    date = datetime.fromtimestamp(seconds, UTC).date()
    words = format_date(date, "long", locale=FORMATS.get(language(), language()))
    return Markup('<time datetime="{}">{}</time>').format(date.isoformat(), words + clock_time)
