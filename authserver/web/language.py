"""The language of a page: what the request asks for, what the person chose, what their browser prefers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, current_app, g, request
from flask_babel import Babel

from .. import clock
from ..appearance import LANGUAGES
from ..config import Settings, asset_dir
from ..texts import Text
from .guards import (
    as_path,
    cookie,
    language,
    page,
    see_other,
    services,
    set_cookie,
    translated,
    way_back,
)

blueprint = Blueprint("language", __name__)

COOKIE = "lang"
YEAR = 365 * 86_400
# a language and the Unix time at which it was chosen
CHOICE = re.compile(r"([a-z]{2,3})\.([0-9]{1,12})", re.ASCII)
# more of a header than anybody's browser sends
MOST_TAGS = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """A language that a person chose here, and when (Unix time)."""

    language: str
    at: int


def install(app: Flask, settings: Settings) -> None:
    """Templates speak the language that ``choose`` names."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(asset_dir("translations"))
    Babel(app, default_locale=settings.languages[0], locale_selector=choose)
    offered = {tag: LANGUAGES[tag] for tag in settings.languages}
    app.jinja_env.globals.update(language=language, languages=offered, way_back=way_back)
    app.jinja_env.filters["translated"] = translated


def choose() -> str:
    """One of the languages of the settings, and nothing else whatever was sent.

    ``ui_locales`` of the authorization request counts until the person chooses on the way; then their
    choice, the browser's preference, the first of the settings.
    """
    offered = services().settings.languages
    wanted, since = g.get("ui_locales", ((), 0))
    own = read_choice(cookie(COOKIE), offered)
    if own is not None and own.at >= since:
        return own.language
    found = lookup(wanted, offered)
    if found is None and own is not None:
        return own.language
    preferred = (tag for tag, quality in request.accept_languages if quality > 0)
    return found or lookup(preferred, offered) or offered[0]


def lookup(wanted: Iterable[str], offered: Iterable[str]) -> str | None:
    """The first of ``offered`` that fits a language range, in the order of these (RFC 4647 §3.4)."""
    known = {tag.lower(): tag for tag in offered}
    for tag in list(wanted)[:MOST_TAGS]:
        parts = tag.lower().split("-")
        while parts:
            if (found := known.get("-".join(parts))) is not None:
                return found
            parts.pop()
            if parts and len(parts[-1]) == 1:
                parts.pop()
    return None


def read_choice(value: str | None, offered: Iterable[str]) -> Choice | None:
    """What the cookie says; None if it is not of this server's making or names no language of ``offered``."""
    found = CHOICE.fullmatch(value or "")
    if found is None or found[1] not in offered:
        return None
    return Choice(found[1], int(found[2]))


@blueprint.get("/language", provide_automatic_options=False, head=False)
def change() -> Response:
    """The browser keeps a language, and goes back to the page that the link was on.

    The link needs no form: a form would need a cookie on every page, the one that answers a POST of another
    site included. Where that other site links here nothing happens.
    """
    if not _from_here():
        return see_other("/")
    chosen = request.args.get("to", "")
    if chosen not in services().settings.languages:
        return page(400, Text("This cannot be answered"), Text("This language is not spoken here."))
    response = see_other(as_path(request.args.get("back") or _came_from()))
    set_cookie(response, COOKIE, f"{chosen}.{clock.now()}", max_age=YEAR)
    return response


def _came_from() -> str:
    """The page that the link was on, if asking for it shows it again; else nothing."""
    path = request.headers.get("Referer", "").removeprefix(services().settings.issuer)
    adapter = current_app.create_url_adapter(request)
    return path if adapter is not None and adapter.test(path.partition("?")[0], method="GET") else ""


def _from_here() -> bool:
    """Whether the link was on a page of this server, or the address typed, as the browser tells."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    return request.headers.get("Referer", "").startswith(f"{services().settings.issuer}/")
