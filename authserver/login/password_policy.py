"""What a password must be like when it is set (NIST SP 800-63B-4 §3.1.1.2): long, and nobody's first guess.

No rules of composition, but for staff, who have those of PCI DSS 8.3.6. A password is also common when it is
a common one repeated, decorated with digits and signs, or spelt with the usual swaps.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from ..texts import Text
from .password import MAX_LENGTH, normalise

# the only factor of a login, and one of several
MIN_LENGTH, MIN_LENGTH_WITH_MFA = 15, 8
# PCI DSS 8.3.6
MIN_LENGTH_OF_STAFF = 12
LIST = Path(__file__).with_name("common_passwords.txt")
SWAPS = str.maketrans("@4310!5$7", "aaeloisst")
ROWS = (
    "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "qwertyuiopasdfghjklzxcvbnm",
    "abcdefghijklmnopqrstuvwxyz", "1234567890", "0123456789",
)  # fmt: skip
# what must be left of a password without the person's own words
LEFT = 7
# shorter words of the person's own may well occur inside a good pass phrase
MIN_WORD = 4

TOO_LONG = Text("Use at most %(number)s characters.", number=MAX_LENGTH)
NO_MIX = Text("Use both letters and digits: an account of staff needs them.")
REUSED = Text("You had this password before. Choose one that is none of your last four.")
PASSKEY_ONLY = Text("You sign in with your passkey alone. There is no password to set.")
COMMON = Text("This password is among the first that others would try. Choose another one.")
BREACHED = Text("This password became known in a breach of some other service. Choose another one.")
OWN_WORDS = Text("Leave your name, your e-mail address and the name of this service out of it.")
SAME = Text("That is the password you have. Choose another one.")
DIFFERENT = Text("The two passwords differ. Type the same one twice.")


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked of a password: its least length, and of staff letters and digits (PCI DSS 8.3.6)."""

    length: int = MIN_LENGTH
    mixed: bool = False

    @classmethod
    def of(cls, *, with_mfa: bool, staff: bool) -> Self:
        """Those of somebody whose login needs more than a password or not, and who is staff or not."""
        least = MIN_LENGTH_WITH_MFA if with_mfa else MIN_LENGTH
        return cls(max(least, MIN_LENGTH_OF_STAFF) if staff else least, staff)

    def fault(self, password: str) -> Text | None:
        """What of them ``password`` does not meet."""
        text = normalise(password)
        if len(text) < self.length:
            return too_short(self.length)
        if self.mixed and not (any(map(str.isalpha, text)) and any(map(str.isdecimal, text))):
            return NO_MIX
        return None


class Refused(Exception):
    """A password cannot be set; ``text`` tells the person why."""

    def __init__(self, text: Text) -> None:
        super().__init__(str(text))
        self.text = text


def too_short(length: int) -> Text:
    """What is said of a password below ``length``."""
    return Text(
        "Use at least %(number)s characters. A few words in a row make a good password.", number=length
    )


def fault(password: str, own_words: tuple[str, ...] = (), demands: Demands = Demands()) -> Text | None:
    """What is wrong with ``password``, for the person who chose it; None if it may be set.

    ``own_words`` are those that others would think of first: names, the e-mail address, the service.
    """
    text = normalise(password)
    if found := demands.fault(text):
        return found
    if len(text) > MAX_LENGTH:
        return TOO_LONG
    plain = unicodedata.normalize("NFKC", text).casefold()
    if _mostly_own(plain, own_words):
        return OWN_WORDS
    if len(set(plain)) < 5 or _common(plain):
        return COMMON
    return None


def _mostly_own(plain: str, own_words: tuple[str, ...]) -> bool:
    """Whether less than a password's worth is left without the person's own words."""
    left = plain
    for words in own_words:
        for word in re.split(r"[\W_]+", unicodedata.normalize("NFKC", words).casefold()):
            if len(word) >= MIN_WORD:
                left = left.replace(word, "")
    return left != plain and len(left) < LEFT


def _common(plain: str) -> bool:
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    squeezed = re.sub(r"[\W_]+", "", plain)
    candidates = {plain, core, squeezed, re.sub(r"\d+", "", squeezed)}
    spellings = candidates | {candidate.translate(SWAPS) for candidate in candidates}
    return any(_listed(_period(spelling)) for spelling in spellings)


def _listed(word: str) -> bool:
    """Whether ``word`` is very short, in the list, or a run along the keyboard or the alphabet."""
    if not word:
        return False
    rows = [row + row for row in (*ROWS, *(row[::-1] for row in ROWS))]
    return len(word) < MIN_WORD or word in _common_passwords() or any(word in row for row in rows)


def _period(text: str) -> str:
    """The shortest text of which ``text`` is made by repeating it."""
    return text[: (text + text).find(text, 1)] if text else text


@cache
def _common_passwords() -> frozenset[str]:
    lines = LIST.read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
