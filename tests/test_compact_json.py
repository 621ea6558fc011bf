"""JSON by the compiled encoder says what the standard library's says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authserver.compact_json import encode

plain = st.none() | st.booleans() | st.integers() | st.text(st.characters(categories=None))
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_what_is_encoded_comes_back(value: Any) -> None:
    assert json.loads(encode(value)) == value


def test_there_is_no_space_in_it_and_text_is_utf_8() -> None:
    assert encode({"a": [1, "é"], "b": None}) == '{"a":[1,"é"],"b":null}'.encode()
    assert encode({"half": "\ud800"}) == b'{"half":"\\ud800"}'
