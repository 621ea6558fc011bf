"""What a password must be like."""

from __future__ import annotations

import pytest

from authserver.login import password_policy
from authserver.login.password_policy import COMMON, NO_MIX, OWN_WORDS, TOO_LONG, Demands, fault, too_short

ALICE = ("alice", "alice.adams@example.com", "Alice Adams", "Example Bank", "authserver")


@pytest.mark.parametrize(
    "password",
    [
        "purple dog walk",
        "correct horse battery staple",
        "correcthorsebattery",
        "wir gehen heute spazieren",
        "münchen im märz 7",
        "🔑🌊🍎🚲☂️🎈🧭🪁🎻🥁🧩🪴🛶🏔️🌙",
        "alice never liked mondays",
        "x" + "qZ7!kW2m" * 20,
    ],
)
@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_a_long_password_of_any_composition_is_taken(password: str) -> None:
    assert fault(password, ALICE) is None


@pytest.mark.parametrize("password", ["", "short 7", "fourteen chars"])
def test_a_short_one_is_not(password: str) -> None:
    assert fault(password, ALICE) == too_short(15)


def test_length_counts_characters_as_they_are_hashed() -> None:
    assert fault("é" * 3 + "abcdefghijk", ALICE) == too_short(15)  # 14, and 17 in NFD
    assert fault("e\u0301" * 3 + "qvzkjxwnbhm", ALICE) == too_short(15)


def test_a_very_long_one_is_refused_whole_and_never_cut() -> None:
    assert fault("walk the dog " * 79, ALICE) == TOO_LONG
    assert fault("walk the dog, " + "".join(map(chr, range(200, 1100))), ALICE) is None


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Password12345678",
        "P@ssw0rd12345678",
        "P4$$w0rd!!!!!!!!",
        "!!!!qwerty!!!!!!!",
        "iloveyou20242024",
        "123456789012345",
        "qwertyuiopasdfgh",
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "letmein letmein letmein",
        "ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ",
        "1234567812345678",
        "000000000000000",
        "               ",
    ],
)
@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_a_common_one_is_refused_however_it_is_decorated(password: str) -> None:
    assert fault(password, ALICE) == COMMON


@pytest.mark.parametrize(
    "password",
    [
        "alice.adams@example.com",
        "aliceadams123456",
        "AUTHSERVER-authserver",
        "example bank 1234",
        "Alice-Alice-Alice!",
    ],
)
def test_one_made_of_the_persons_own_words_is_refused(password: str) -> None:
    assert fault(password, ALICE) in (OWN_WORDS, COMMON)


def test_the_list_is_there_and_has_the_top_of_all_lists() -> None:
    words = password_policy._common_passwords()
    assert len(words) == 10_000
    assert {"password", "123456", "qwerty", "letmein", "iloveyou"} <= words


@pytest.mark.spec("NIST SP 800-63B-4", "3.1.1.2")
def test_a_password_that_is_never_alone_may_be_shorter() -> None:
    with_mfa = Demands.of(with_mfa=True, staff=False)
    assert fault("vogel 7k", ALICE, with_mfa) is None
    assert fault("vogel 7", ALICE, with_mfa) == too_short(8)
    assert fault("password", ALICE, with_mfa) == COMMON
    assert fault("alice 77", ALICE, with_mfa) == OWN_WORDS


@pytest.mark.spec("PCI DSS 4.0.1", "8.3.6")
def test_staff_need_twelve_characters_letters_and_digits_among_them() -> None:
    staff = Demands.of(with_mfa=True, staff=True)
    assert fault("vogel 7krähe", ALICE, staff) is None
    assert fault("vogel 7kräh", ALICE, staff) == too_short(12)
    assert fault("vogel, krähe und ich", ALICE, staff) == NO_MIX
    assert fault("83 19 44 07 6226", ALICE, staff) == NO_MIX
    # where nothing else is asked for they need what everybody does
    assert fault("vogel 7krähe", ALICE, Demands.of(with_mfa=False, staff=True)) == too_short(15)


def test_composition_is_no_rule_for_customers() -> None:
    assert not Demands.of(with_mfa=True, staff=False).mixed
