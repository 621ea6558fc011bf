"""Catalogues of translations/ from templates and code: `make translations`.

New texts come in without a translation, those that are gone leave, and what is translated is compiled.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "translations"
METHODS = {"templates": [("**.html", "jinja2")], "authserver": [("**.py", "python")]}
# authserver/texts.py, and what templates call
KEYWORDS = {"Text": None, "_": None, "gettext": None}
# a catalogue says the same whenever it is made
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def texts() -> Catalog:
    """Every text that templates and code mark for translation."""
    found = Catalog(project="authserver", creation_date=EPOCH, charset="utf-8")
    for folder, methods in METHODS.items():
        options = {"**.html": {"trimmed": "true", "silent": "false"}}
        for _, _, message, _, _ in extract_from_dir(
            ROOT / folder, methods, options if folder == "templates" else {}, KEYWORDS
        ):
            found.add(message)
    return found


def languages() -> list[str]:
    """Those that have a catalogue."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def path_of(language: str, suffix: str) -> Path:
    """A language's catalogue: ``po`` as people write it, ``mo`` as the server reads it."""
    return FOLDER / language / "LC_MESSAGES" / f"messages.{suffix}"


def read(language: str) -> Catalog:
    """The catalogue of a language as it is committed."""
    with path_of(language, "po").open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue as the server reads it."""
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> int:
    """Each catalogue has exactly the texts that there are; 1 if some have no translation."""
    wanted, missing = texts(), 0
    for language in languages():
        catalogue = read(language)
        catalogue.update(wanted, no_fuzzy_matching=True)
        catalogue.revision_date = catalogue.creation_date = EPOCH
        catalogue.project, catalogue.version = "authserver", "1"
        catalogue.last_translator = catalogue.language_team = "authserver"
        catalogue.msgid_bugs_address = ""
        with path_of(language, "po").open("wb") as file:
            write_po(file, catalogue, width=0, no_location=True, sort_output=True, ignore_obsolete=True)
        path_of(language, "mo").write_bytes(compiled(read(language)))
        for message in catalogue:
            if message.id and not message.string:
                print(f"{language}: {message.id}")
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
