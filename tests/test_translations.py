"""Catalogues: every text of ours in every language, with the same placeholders and the same markup."""

from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from authserver.appearance import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("translations", ROOT / "scripts" / "translations.py")
assert _spec is not None and _spec.loader is not None
translations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(translations)

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
TAG = re.compile(r"<[^>]+>")
# a block that names a class, not words
WIDTH = re.compile(r"\{% block width %\}\w+\{% endblock %\}")
JINJA = re.compile(r"\{#.*?#\}|\{%-?\s*trans\b.*?endtrans\s*-?%\}|\{%.*?%\}|\{\{.*?\}\}", re.S)
SPOKEN = {"alt", "aria-label", "placeholder", "title"}


def test_the_languages_of_the_settings_are_english_and_those_that_have_a_catalogue() -> None:
    assert sorted(LANGUAGES) == sorted({"en", *translations.languages()})


@pytest.mark.parametrize("language", translations.languages())
def test_a_catalogue_has_every_text_and_no_other(language: str) -> None:
    texts = {message.id for message in translations.texts() if message.id}
    assert len(texts) > 150
    assert {m.id for m in translations.read(language) if m.id} == texts, "run `make translations`"


@pytest.mark.parametrize("language", translations.languages())
def test_every_text_is_translated_with_its_placeholders_and_its_markup(language: str) -> None:
    for message in translations.read(language):
        if not message.id:
            continue
        assert message.string.strip(), f"{language} has no translation of: {message.id}"
        assert not message.fuzzy, message.id
        for what in (PLACEHOLDER, TAG):
            assert sorted(what.findall(message.string)) == sorted(what.findall(message.id)), message.id
        # a lone percent sign would be read as a placeholder
        assert message.string.count("%") == message.string.count("%("), message.id


@pytest.mark.parametrize("language", translations.languages())
def test_what_the_server_reads_is_what_people_wrote(language: str) -> None:
    compiled = translations.compiled(translations.read(language))
    assert translations.path_of(language, "mo").read_bytes() == compiled, "run `make translations`"


def test_a_text_without_a_translation_would_be_found(tmp_path: Path) -> None:
    holed = tmp_path / "messages.po"
    holed.write_text('msgid "Sign in"\nmsgstr ""\n')
    with holed.open("rb") as file:
        assert [m.id for m in read_po(file) if m.id and not m.string] == ["Sign in"]


class Literals(HTMLParser):
    """Words that a template says by itself, in whatever language they were written."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found += [data.strip()] if re.search(r"[^\W\d_]", data) else []

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in SPOKEN and value]


def literals(source: str) -> list[str]:
    parser = Literals()
    parser.feed(JINJA.sub("", WIDTH.sub("", source)))
    return parser.found


@pytest.mark.parametrize("path", sorted((ROOT / "templates").glob("*.html")), ids=lambda path: path.name)
def test_a_template_says_nothing_that_is_not_translated(path: Path) -> None:
    assert literals(path.read_text()) == []


def test_a_literal_in_a_template_would_be_found() -> None:
    said = '{{ _("Said") }}<a title="{{ _("x") }}">{% trans %}a{% endtrans %}</a>'
    source = f'<p>{said} Hello <img alt="A mark"></p>'
    assert literals(source) == ["Hello", "A mark"]
