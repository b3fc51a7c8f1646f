"""Names as the RNIV wants them: capitals A to Z, space, apostrophe and hyphen. Pure.

Source: RNIV (identity traits), PAM national extension France.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_FAMILY: Final = re.compile(r"(?!.*(?:  |''| '|' ))[A-Z'][A-Z '\-]*")
_GIVEN: Final = re.compile(r"(?!.*(?:  |''| '|' |--))[A-Z'](?:[A-Z '\-]*[A-Z])?")
_LIGATURES: Final = str.maketrans(
    {"\u0152": "OE", "\u00c6": "AE", "\u00d0": "D", "\u00de": "TH", "\u00d8": "O", "\u0141": "L"}
    | {"\u2019": "'"}
)
_LETTERS: Final = re.compile(r"[A-Z '\-]*")


def _in_capitals(name: str) -> str:
    """Return a name in capitals without accents and ligatures; all else in it stays."""
    folded = unicodedata.normalize("NFKD", name.upper().translate(_LIGATURES))
    return "".join([letter for letter in folded if not unicodedata.combining(letter)])


_FRENCH: Final = "".join(
    [each for each in map(chr, range(0x41, 0x180)) if re.fullmatch("[A-Z]+", _in_capitals(each))]
)
_QUICK: Final = re.compile(r"'?[A-Z]+(?:[ '\-][A-Z]+)*")
"""What nearly every right name is: right as either, without a look at all that is forbidden."""
_QUICK_WRONG: Final = re.compile(rf"'?[{_FRENCH}]+(?:[ '\-][{_FRENCH}]+)*")
"""What nearly every other name is: right as either, were it in capitals without accents."""


def is_plain_name(name: str) -> bool:
    """Say whether a name is surely right; False says that `name_fault` must look at it."""
    return _QUICK.fullmatch(name) is not None


def name_fault(name: str, *, is_family: bool) -> str:
    """Return the code of what a name has against the RNIV, empty if it has nothing.

    What is no letter, space, apostrophe or hyphen is worse than their order, that worse than
    small letters and accents. Nothing is ever stripped.
    """
    if not name or _QUICK.fullmatch(name):
        return ""
    if _QUICK_WRONG.fullmatch(name):
        return "name_letters_not_plain"
    form = _FAMILY if is_family else _GIVEN
    if form.fullmatch(name):
        return ""
    plain = _in_capitals(name)
    if not _LETTERS.fullmatch(plain):
        return "name_characters_wrong"
    return "name_letters_not_plain" if form.fullmatch(plain) else "name_form_wrong"
