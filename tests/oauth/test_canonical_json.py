"""JSON for signatures has one spelling (RFC 8785)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.oauth import canonical_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)


@pytest.mark.spec("RFC 8785", "3.2.3")
def test_members_are_sorted_by_utf_16_code_units() -> None:
    # the example of the RFC: an emoji sorts by its surrogate, before U+FB33
    names = ("\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6")
    text = canonical_json.encode(dict.fromkeys(names, "")).decode()
    assert list(json.loads(text)) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.spec("RFC 8785", "3.2.2.2")
def test_texts_have_the_short_escapes_and_nothing_else_is_escaped() -> None:
    text = '\u20ac$\u000f\nA\'B"\\\\"/\b\f\t\r\u007f\u2028'
    made = canonical_json.encode({"string": text}).decode()
    assert made == '{"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\\b\\f\\t\\r\u007f\u2028"}'


@pytest.mark.parametrize("value", [1, 1.5, True, None, float("nan"), b"x", object(), "\ud800"])
def test_what_has_no_one_spelling_is_refused(value: object) -> None:
    for inside in ({"a": value}, {"a": [value]}, {"a": {"b": value}}):
        with pytest.raises(ValueError, match=r"canonical form|surrogates"):
            canonical_json.encode(inside)
    with pytest.raises(ValueError, match="name"):
        canonical_json.encode({value: "x"} if not isinstance(value, str) else {0: "x"})  # type: ignore[dict-item]


@given(st.dictionaries(TEXTS, VALUES))
def test_whatever_order_it_was_made_in_it_is_spelt_alike_and_read_back(value: dict[str, object]) -> None:
    made = canonical_json.encode(value)
    assert json.loads(made) == value
    assert canonical_json.encode(dict(reversed(value.items()))) == made
