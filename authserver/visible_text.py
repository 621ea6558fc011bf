"""Text that is shown to people before they decide: one line that shows as what it is, and shows at all."""

from __future__ import annotations

import unicodedata

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt (UAX #44), first and last of each
# range: what a font may leave out. unicodedata does not know the property.
IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
# What is empty though its category says otherwise: a Braille cell without dots, an ideograph's half space,
# the place of an object that is not there, a note without a head, two Egyptian blanks.
BLANK = frozenset("\u2800\u303f\ufffc\U0001d159\U00013441\U00013442")
MARKS_IN_A_ROW = 2


def shows(text: str) -> bool:
    """Whether people see ``text`` as it is: one printable line in NFC with a letter or digit in it.

    No direction, filler or ignorable characters, no run of spaces, and no marks but few, each on a letter or
    digit: stacked they paint over the lines around.
    """
    if not text.isprintable() or text != text.strip() or "  " in text:
        return False
    if not unicodedata.is_normalized("NFC", text) or any(map(_hidden, text)):
        return False
    kinds = "".join(unicodedata.category(character)[0] for character in text)
    bases, marks = kinds.count("L") + kinds.count("N"), kinds.count("M")
    if not bases or marks > bases or "M" * (MARKS_IN_A_ROW + 1) in kinds:
        return False
    before = " " + kinds
    return all(kind != "M" or before[place] in "LNM" for place, kind in enumerate(kinds))


def _hidden(character: str) -> bool:
    return character in BLANK or any(first <= ord(character) <= last for first, last in IGNORABLE)
