"""Browsers of the cases: cookies are kept, pages remembered, forms sent as they were given."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from .wire import Reply

_FORM = re.compile(r'<form\b[^>]*\baction="([^"]*)"[^>]*>(.*?)</form>', re.S)
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_RADIO = re.compile(r'name="account" value="([^"]*)"')
# what an authorization response may carry (RFC 6749 §4.1.2, RFC 9207)
_ANSWERS = ("code", "error")


@dataclass
class Browser:
    """A jar of cookies, and the page that was shown last."""

    cookies: dict[str, str] = field(default_factory=dict)
    page: Reply | None = None

    def see(self, reply: Reply) -> None:
        """What ``reply`` sets is kept, what it drops is gone."""
        for name, value, attributes in map(parsed, reply.set_cookies):
            if attributes.get("max-age") == "0" or "1970" in attributes.get("expires", ""):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        if reply.html:
            self.page = reply

    def form(self, action: str) -> dict[str, str]:
        """The hidden fields of the shown page's form for ``action``."""
        assert self.page is not None, f"no page with a form for {action} was shown"
        found = forms(self.page)
        assert action in found, f"the page has no form for {action}, but {sorted(found)}"
        return found[action]

    @property
    def hidden(self) -> dict[str, str]:
        """The hidden fields of all forms of the shown page."""
        assert self.page is not None
        return {name: value for fields in forms(self.page).values() for name, value in fields.items()}


def parsed(line: str) -> tuple[str, str, dict[str, str]]:
    """Name, value and attributes (names in lower case) of a Set-Cookie line (RFC 6265 §4.1)."""
    first, *rest = (part.strip() for part in line.split(";"))
    name, _, value = first.partition("=")
    attributes = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
    return name, value, attributes


def forms(page: Reply) -> dict[str, dict[str, str]]:
    """The forms of a page by where they go, each with its hidden fields."""
    return {
        html.unescape(action): {html.unescape(n): html.unescape(v) for n, v in _HIDDEN.findall(inner)}
        for action, inner in _FORM.findall(page.text)
    }


def first_account(page: Reply) -> dict[str, str]:
    """The first account of a payment's page as the form would send it; nothing on other pages."""
    found = _RADIO.search(page.text)
    return {"account": html.unescape(found[1])} if found else {}


def answer(reply: Reply) -> tuple[str, dict[str, str]] | None:
    """Where an authorization response goes and what it says, however it travels; None if it is none."""
    if reply.location and not reply.location.startswith("/"):
        parts = urlsplit(reply.location)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return reply.location, _once(pairs)
    if reply.html:
        for action, fields in forms(reply).items():
            if not action.startswith("/") and any(name in fields for name in _ANSWERS):
                return action, fields
    return None


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in pairs]
    for name in (*_ANSWERS, "iss", "state", "error_description"):
        assert names.count(name) <= 1, f"{name} twice in {pairs}"
    return dict(pairs)
