"""A message put into words: in the person's language, plain text, one recipient, no header from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Any

from babel.dates import format_datetime as in_words
from babel.support import NullTranslations, Translations

from ..config import asset_dir
from ..messaging import ADDRESS
from ..texts import Text
from .templates import TEMPLATES

PLAIN = SMTP.clone(linesep="\n", cte_type="8bit", utf8=True)
MAX_ADDRESS = 254
MAX_VALUE = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """What leaves: ``id`` stays the same at every try."""

    id: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    # without a greeting, for a text message
    brief: str = field(repr=False)
    language: str
    written_at: int


def deliverable(address: str) -> str | None:
    """The address as mail servers take it, its domain in ASCII (RFC 5890); None if it is not a plain one."""
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None
    return plain if len(plain) <= MAX_ADDRESS and ADDRESS.fullmatch(plain) else None


def kept(value: Any) -> Any:
    """A value as JSON holds it: a Text keeps its message, so that it can be translated when it is shown."""
    if isinstance(value, Text):
        return {"message": value.message, "values": {k: kept(v) for k, v in value.values.items()}}
    return _one_line(str(value))


def compose(id_: str, content: Mapping[str, Any], template: str, language: str, written_at: int) -> Letter:
    """The message of ``template`` with the values of ``content``, to the address in it."""
    found = TEMPLATES[template]
    values = {name: _shown(value, language) for name, value in content["values"].items()}
    values["when"] = _moment(written_at, language)

    def said(text: Text) -> str:
        return _translate(text.message, values, language)

    greeting = said(Text("Hello %(name)s,")) if values["name"] else said(Text("Hello,"))
    said_of_it = [said(text) for text in found.paragraphs(values.keys())]
    parting = f"{values['operator']}\n{values['issuer']}"
    text = "\n\n".join((greeting, *said_of_it, parting)) + "\n"
    brief = " ".join(said_of_it)
    return Letter(id_, content["to"], said(found.subject), text, brief, language, written_at)


def as_email(letter: Letter, sender: tuple[str, str], *, plain: bool = False) -> EmailMessage:
    """The mail; ``sender`` is a name and an address. ValueError if a header would be more than one line.

    A ``plain`` one can be read as it is, by a person; others pass through every server.
    """
    mail = EmailMessage(PLAIN if plain else SMTP)
    mail["Subject"] = letter.subject
    mail["From"] = Address(sender[0], addr_spec=sender[1])
    mail["To"] = Address(addr_spec=letter.to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(letter.written_at, UTC))
    # the same at every try: who gets it twice sees it once
    mail["Message-ID"] = f"<{letter.id}@{sender[1].rpartition('@')[2]}>"
    # RFC 3834 §5: no answers of machines
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text, cte="8bit" if plain else "quoted-printable")
    mail["Content-Language"] = letter.language
    return mail


def _one_line(text: str) -> str:
    """``text`` on one line and cut: no value starts a paragraph or a header of its own."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_VALUE else line[: MAX_VALUE - 1] + "…"


def _shown(value: Any, language: str) -> str:
    if isinstance(value, dict):
        values = {name: _shown(inner, language) for name, inner in value["values"].items()}
        return _translate(value["message"], values, language)
    return str(value)


def _translate(message: str, values: Mapping[str, str], language: str) -> str:
    said = str(_catalogue(language).gettext(message))
    return said % values if values else said


def _moment(at: int, language: str) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return in_words(moment, "d MMMM yyyy, HH:mm", locale=language) + " UTC"


@cache
def _catalogue(language: str) -> NullTranslations:
    folder = str(asset_dir("translations"))
    return NullTranslations() if language == "en" else Translations.load(folder, [language])
