"""Separators of ER7: those that MSH-1 and MSH-2 name, or the standard ones.

Source: HL7 v2.5.1 chapter 2 (2.5.4), read as senders write it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

_STANDARD: Final = "^~\\&#"


class Separators(msgspec.Struct, frozen=True):
    """The separators of one message, as MSH-1 and MSH-2 give them."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""


class Start(msgspec.Struct, frozen=True):
    """What the reading of the header already found, so that the body need not find it again."""

    separators: Separators
    encoding_characters: int
    charset_name: bytes


@lru_cache(maxsize=256)
def separators_of(field: str, encoding: str) -> Separators | None:
    """Return the separators, those left out filled with the standard ones; None if unusable."""
    letters = field + encoding
    if (
        not 2 <= len(letters) <= 6
        or len(set(letters)) != len(letters)
        or any(
            letter.isalnum() or letter.isspace() or not letter.isprintable() for letter in letters
        )
        or field > "~"
    ):
        return None
    filled = [*encoding]
    for letter in _STANDARD[len(encoding) : 4]:
        if letter in letters:
            return None
        filled.append(letter)
    return Separators(field, *filled)
