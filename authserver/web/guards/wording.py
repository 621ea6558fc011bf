"""The words of a page: in which language they are, and how to have the page again in another."""

from __future__ import annotations

import re

from flask import g
from flask_babel import get_locale, gettext

from ...texts import Text

# A path of this server with its query: no host, no fragment, nothing that a browser would read otherwise.
OWN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


def as_path(text: str) -> str:
    """``text`` if it is a path of this server, else the start page: a browser is sent there."""
    return text if OWN_PATH.fullmatch(text) else "/"


def way_back() -> str:
    """The address that shows this page again, as its view named it (``come_back_to``).

    Empty for this page's own: nothing of what was sent is on a page, and a browser tells where a link was.
    """
    return as_path(g.come_back_to) if "come_back_to" in g else ""


def come_back_to(path: str) -> None:
    """Who changes the language on this page goes on at ``path``."""
    g.come_back_to = path


def language() -> str:
    """The language of this page, one of the settings'."""
    return str(get_locale())


def translated(text: str) -> str:
    """A text of ours in the language of this page; what others wrote stays as it is."""
    return gettext(text.message, **text.values) if isinstance(text, Text) else text
