"""A small page for a browser that came by another host: no template, no style, no cookie, and a way on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from babel.support import NullTranslations, Translations
from markupsafe import Markup
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from ..config import asset_dir
from ..texts import Text

TITLE = Text("This address is not ours")
PAGE = Markup(
    '<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n</head>\n'
    '<body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n<p><a href="{issuer}/">{issuer}</a></p>\n'
    "</main>\n</body>\n</html>\n"
)
HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("Vary", "Accept, Accept-Language"),
)


def plain_page(
    text: str, issuer: str, accept_language: str, offered: Sequence[str]
) -> tuple[bytes, list[tuple[str, str]]]:
    """The page that leads to ``issuer`` and its headers, in the first of ``offered`` that is read there."""
    tags = [tag for tag, quality in parse_accept_header(accept_language, LanguageAccept) if quality > 0]
    known = (tag.partition("-")[0].lower() for tag in tags)
    language = next((tag for tag in known if tag in offered), offered[0])
    body = PAGE.format(
        language=language, title=_said(TITLE, language), text=_said(text, language), issuer=issuer
    )
    return body.encode(), [*HEADERS, ("Content-Language", language)]


def _said(text: str, language: str) -> str:
    if not isinstance(text, Text):
        return text
    said = _catalogue(language).gettext(text.message)
    return said % text.values if text.values else said


@cache
def _catalogue(language: str) -> NullTranslations:
    return Translations.load(str(asset_dir("translations")), [language])
