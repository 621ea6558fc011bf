"""What a password must be like when it is set (NIST SP 800-63B-4 §3.1.1): long, and nobody's first guess.

No rules of composition. A password is also common when it is a common one repeated, decorated with
digits and signs, or spelt with the usual swaps.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

from ..texts import Text
from .password import MAX_LENGTH, normalise

# a password is the only factor yet
MIN_LENGTH = 15
LIST = Path(__file__).with_name("common_passwords.txt")
SWAPS = str.maketrans("@4310!5$7", "aaeloisst")
ROWS = (
    "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "qwertyuiopasdfghjklzxcvbnm",
    "abcdefghijklmnopqrstuvwxyz", "1234567890", "0123456789",
)  # fmt: skip
# shorter words of the person's own may well occur inside a good pass phrase
MIN_WORD = 4

TOO_SHORT = Text(
    "Use at least %(number)s characters. A few words in a row make a good password.", number=MIN_LENGTH
)
TOO_LONG = Text("Use at most %(number)s characters.", number=MAX_LENGTH)
COMMON = Text("This password is among the first that others would try. Choose another one.")
BREACHED = Text("This password became known in a breach of some other service. Choose another one.")
OWN_WORDS = Text("Leave your name, your e-mail address and the name of this service out of it.")
SAME = Text("That is the password you have. Choose another one.")
DIFFERENT = Text("The two passwords differ. Type the same one twice.")


def fault(password: str, own_words: tuple[str, ...] = ()) -> Text | None:
    """What is wrong with ``password``, for the person who chose it; None if it may be set.

    ``own_words`` are those that others would think of first: names, the e-mail address, the service.
    """
    text = normalise(password)
    if len(text) < MIN_LENGTH:
        return TOO_SHORT
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
    return left != plain and len(left) < MIN_LENGTH // 2


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
