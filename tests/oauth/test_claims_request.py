"""The claims parameter: what it asks for, and every form in which it asks for nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from authlib.oidc.core import UserInfo
from hypothesis import given
from hypothesis import strategies as st

from authserver import acr, strict_json
from authserver.oauth import claims, claims_request
from authserver.oauth.claims_request import ClaimsRequest, Malformed

NOTHING = ClaimsRequest((), (), None, (), ())
SUB = {"value": "alice"}


def read(**asked: Any) -> ClaimsRequest:
    return claims_request.read(json.dumps(asked))


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5")
def test_claims_are_told_apart_by_where_they_are_wanted() -> None:
    asked = read(
        userinfo={"given_name": {"essential": True}, "name": None, "http://example.info/x": None},
        id_token={"auth_time": {"essential": True}, "email": {"essential": False, "purpose": "mail"}},
        unknown=[[1]],
    )
    assert asked.userinfo == ("given_name", "name", "http://example.info/x")
    assert asked.id_token == ("auth_time", "email")
    assert (asked.subjects, asked.acr_values, asked.acr_essential) == (None, (), ())
    assert read() == read(userinfo={}) == read(id_token={}) == NOTHING


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5.1")
def test_a_subject_with_a_value_is_who_must_answer() -> None:
    assert read(id_token={"sub": SUB}).subjects == ("alice",)
    assert read(userinfo={"sub": {"values": ["alice", "bob", "alice"]}}).subjects == ("alice", "bob")
    assert read(userinfo={"sub": {"values": ["bob", "alice"]}}, id_token={"sub": SUB}).subjects == ("alice",)
    assert read(id_token={"sub": {"essential": True}}).subjects is None
    assert read(id_token={"sub": None}).subjects is None


@pytest.mark.spec("OpenID Connect Core 1.0", "5.5.1.1")
def test_only_an_essential_acr_with_values_is_demanded() -> None:
    both = read(id_token={"acr": {"essential": True, "values": ["a", "b"]}})
    assert (both.acr_essential, both.acr_values) == (("a", "b"), ())
    assert read(id_token={"acr": {"essential": True, "value": "a"}}).acr_essential == ("a",)
    assert read(id_token={"acr": {"values": ["a"]}}).acr_values == ("a",)
    assert read(id_token={"acr": {"essential": False, "value": "a"}}).acr_essential == ()
    for nothing in (None, {}, {"essential": True}, {"essential": True, "values": []}):
        assert read(id_token={"acr": nothing}).acr_essential == ()
    assert read(userinfo={"acr": {"essential": True, "value": "a"}}).acr_essential == ()


DEEP = '{"userinfo":{"name":' + "[" * 500 + "]" * 500 + "}}"
MALFORMED = [
    "", " ", "x", "null", "[]", "1", '"sub"', "{", "{}{}", "{'userinfo':{}}", "\ufeff{}", DEEP, "[" * 3999,
    '{"userinfo":null}', '{"userinfo":[]}', '{"id_token":"sub"}', '{"userinfo":true}',
    '{"userinfo":{"name":true}}', '{"userinfo":{"name":"x"}}', '{"userinfo":{"name":[]}}',
    '{"userinfo":{"name":{"essential":"true"}}}', '{"userinfo":{"name":{"essential":1}}}',
    '{"userinfo":{"name":{"essential":null}}}', '{"userinfo":{"name":{"values":"x"}}}',
    '{"userinfo":{"name":{"value":"x","values":["x"]}}}', '{"userinfo":{"name":{"value":NaN}}}',
    '{"userinfo":{"name":{"value":Infinity}}}', '{"userinfo":{"name":{"value":1e999}}}',
    '{"userinfo":{"name":{"value":' + "9" * 200 + "}}}", '{"userinfo":{"name":{"value":[[[[1]]]]}}}',
    '{"userinfo":{},"userinfo":{"name":null}}', '{"userinfo":{"name":null,"name":null}}',
    '{"userinfo":{"name":{"essential":false,"essential":true}}}',
    '{"userinfo":{"\\ud800":null}}', '{"id_token":{"sub":{"value":"\\udfff"}}}',
    '{"id_token":{"sub":{"value":"a\\u0000"}}}', '{"id_token":{"sub":{"value":1}}}',
    '{"id_token":{"sub":{"value":null}}}', '{"id_token":{"sub":{"value":""}}}',
    '{"id_token":{"sub":{"values":[]}}}', '{"id_token":{"sub":{"values":["a",["b"]]}}}',
    '{"id_token":{"sub":{"value":"' + "a" * 256 + '"}}}', '{"id_token":{"sub":{"value":{"value":"a"}}}}',
    '{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}',
    '{"id_token":{"acr":{"essential":true,"value":1}}}', '{"id_token":{"acr":{"values":[{}]}}}',
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(Malformed):
        claims_request.read(text)


def test_its_length_and_the_number_of_claims_and_values_are_bounded() -> None:
    assert len(read(userinfo={f"c{i}": None for i in range(50)}).userinfo) == 50
    assert read(id_token={"sub": {"values": [f"u{i}" for i in range(8)]}}).subjects
    for bomb in (
        {"userinfo": {f"c{i}": None for i in range(51)}},
        {"id_token": {"sub": {"values": [f"u{i}" for i in range(9)]}}},
        {"id_token": {"acr": {"values": [f"a{i}" for i in range(9)]}}},
        {"other": "x" * 4000},
    ):
        with pytest.raises(Malformed):
            read(**bomb)


def test_names_that_only_look_alike_are_other_names() -> None:
    """Nothing is normalised: a look-alike of ``sub`` binds nobody, one of ``name`` tells nothing."""
    lookalikes = ("\uff53\uff55\uff42", "SUB", "sub ", "s\u200bub", "\u0455ub")
    asked = read(id_token=dict.fromkeys(lookalikes, SUB))
    assert asked.subjects is None
    assert claims.within(["N\u0430me", "name#de", "NAME", "\uff4eame"], claims.SCOPES.values()) == []


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        asked = claims_request.read(text)
    except Malformed:
        return
    assert asked.subjects is None or asked.subjects


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_what_strict_json_reads_is_what_was_written(value: Any) -> None:
    text = json.dumps(value)
    try:
        assert strict_json.read(text, 8) == json.loads(text)
    except ValueError:
        assert "NaN" in text or "Infinity" in text or "\\u" in text or "[" * 9 in text.replace(" ", "")


@pytest.mark.spec("OpenID Connect Core 1.0", "5.4")
def test_each_claim_has_the_scope_that_the_specification_gives_it() -> None:
    standard = {name: scope for scope, names in UserInfo.SCOPES_CLAIMS_MAPPING.items() for name in names}
    assert {name: standard[name] for name in claims.SCOPES} == claims.SCOPES


def test_the_ladder_of_acr_says_what_was_reached_and_never_more() -> None:
    assert acr.reachable() == acr.LADDER
    assert acr.reachable(acr.PASSWORD) == (acr.PASSWORD,)
    assert acr.reaches("phr", acr.MFA) and acr.reaches("unknown", "")
    assert not acr.reaches("unknown", acr.PASSWORD)
    assert acr.highest("", acr.MFA, acr.PASSWORD) == acr.MFA
    assert acr.reachable("phr") == acr.LADDER
    assert acr.reachable("unknown") == ()
    assert acr.met("phr", [acr.PASSWORD, acr.MFA, "x"]) == acr.MFA
    assert acr.met(acr.PASSWORD, ["phr", acr.MFA]) is None
    assert acr.met("unknown", acr.LADDER) is None
    assert acr.met(acr.PASSWORD, ["", "PHR", "urn:authserver:acr:password "]) is None
