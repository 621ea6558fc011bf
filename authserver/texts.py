"""Texts for people: written where they are decided, put into a language where they are shown."""

from __future__ import annotations

from typing import Any, Self


class Text(str):
    """English as it stands, and what it takes to say the same in another language.

    ``message`` is what the catalogues in translations/ know, ``values`` are what its placeholders stand for.
    """

    message: str
    values: dict[str, Any]

    def __new__(cls, message: str, **values: Any) -> Self:
        text = super().__new__(cls, message % values if values else message)
        text.message = message
        text.values = values
        return text
