"""What people are shown is one line that shows as what it is."""

from __future__ import annotations

import unicodedata

import pytest
from plugins.app import World

from authserver.errors import Invalid
from authserver.visible_text import BLANK, IGNORABLE, shows


def test_every_ignorable_or_blank_character_hides_nothing_in_a_name() -> None:
    for first, last in IGNORABLE:
        for place in range(first, last + 1):
            assert not shows(f"A{chr(place)}B"), hex(place)
    assert not any(shows(f"A{character}B") for character in BLANK)


def test_invisible_letters_and_stacked_marks_are_refused() -> None:
    for text in (
        "",
        " ",
        "\u3164",
        "\u115f\u1160",
        "...",
        "A  B",
        " A",
        "A\n",
        "A\u202eB",
        "A\u0316\u0316\u0316",
    ):
        assert not shows(text), ascii(text)
    # one mark a letter at most, though never three in a row
    assert shows("AB\u0316\u0316")
    assert not shows("A\u0316\u0316")
    assert not shows("A-\u0336B")


def test_ordinary_lines_of_many_scripts_show() -> None:
    for text in (
        "Corner shop",
        "Müller & Söhne GmbH",
        "Ἀθήνα",
        "हिन्दी",
        "ภาษาไทย",
        "한국",
        "שלום",
        "€ 5 off",
    ):
        assert shows(text), text
        assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize("hidden", ["Shop\u202egnp", "\u3164", "Shop\u200b", "Shop\ufe0f", "\u2800", ""])
def test_neither_a_client_nor_a_scope_has_words_that_nobody_sees(world: World, hidden: str) -> None:
    services = world.services
    values = {
        "client_id": "hidden", "client_name": hidden, "state": "active",
        "token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"],
        "redirect_uris": [], "scopes": [], "profile": "oauth21", "tier": "gold",
    }  # fmt: skip
    with pytest.raises(Invalid, match="name is one line"):
        services.clients.create(values)
    services.clients.create(values | {"client_name": "Shop"})
    with pytest.raises(Invalid, match="sentence is one line"):
        services.scopes.describe("reports", hidden)
