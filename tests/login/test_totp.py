"""Codes of authenticator apps: RFC 6238's own vectors, and the window around the present step."""

from __future__ import annotations

import base64

import pytest

from authserver.login import totp

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_111_111_109


@pytest.mark.spec("RFC 6238", "B")
@pytest.mark.parametrize(
    ("time", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_specification(time: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, totp.step_at(time)) == code
    assert totp.matching_step(RFC_SECRET, code, time) == time // 30


@pytest.mark.spec("RFC 6238", "5.2")
def test_one_step_of_drift_to_either_side_is_accepted_and_no_more() -> None:
    present = totp.step_at(NOW)
    found = [totp.matching_step(RFC_SECRET, totp.code_at(RFC_SECRET, present + d), NOW) for d in range(-2, 3)]
    assert found == [None, present - 1, present, present + 1, None]


def test_what_is_no_code_matches_nothing() -> None:
    code = totp.code_at(RFC_SECRET, totp.step_at(NOW))
    assert totp.matching_step(RFC_SECRET, f" {code[:3]} {code[3:]} ", NOW) is not None
    for wrong in ("", "0", code[:5], code + "0", "\u0660" * 6, "\ud800", "-" + code[1:]):
        assert totp.matching_step(RFC_SECRET, wrong, NOW) is None


def test_a_new_secret_has_160_bits() -> None:
    assert len(base64.b32decode(totp.new_secret())) == 20
    assert totp.new_secret() != totp.new_secret()
