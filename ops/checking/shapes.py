"""The shape of a value instead of the value: what kinds of characters, and how many. Pure.

A shape may be shown where a value may not: in reports of a vendor's CI, over HTTP, in a sandbox.
No digit, no letter and no sign of a value stands in it, but the marks that dates, numbers and
HL7's parts are written with, and those only beside digits or letters (`-` alone is a result).
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

MASK_CHARACTERS: Final = 40
"""How much of a value's mask is shown."""
_MAX_RUNS: Final = 8
_MARKS: Final = frozenset("-/.:,+^&~ ")
_NAMES: Final = {
    "en": {
        "9": ("digit", "digits"),
        "A": ("letter", "letters"),
        "?": ("other character", "other characters"),
        " ": ("space", "spaces"),
    },
    "fr": {
        "9": ("chiffre", "chiffres"),
        "A": ("lettre", "lettres"),
        "?": ("autre caractère", "autres caractères"),
        " ": ("espace", "espaces"),
    },
}
_EMPTY: Final = {"en": "empty", "fr": "vide"}
_CONTROLS: Final = dict.fromkeys((*range(32), 127, *range(0x80, 0xA0)), "�")
_MORE: Final = {"en": "{} characters in all", "fr": "{} caractères en tout"}


def mask_of(value: str) -> str:
    """Return the value with 9 for a digit, A or a for a letter, ? for another sign; bounded."""
    shown = value[:MASK_CHARACTERS]
    keeps_marks = any(character.isalnum() for character in shown)
    masked = "".join(_masked(character, keeps_marks=keeps_marks) for character in shown)
    return masked + "…" if len(value) > MASK_CHARACTERS else masked


def _masked(character: str, *, keeps_marks: bool) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character if keeps_marks and character in _MARKS else "?"


def shape_of(value: str, language: str = "en") -> str:
    """Say what a value is made of: `99999A` is "5 digits, 1 letter"; never what it is."""
    if not value:
        return _EMPTY[language]
    runs = [
        (kind, sum(1 for _ in run))
        for kind, run in groupby(mask_of(value).rstrip("…").replace("a", "A"))
    ]
    names = _NAMES[language]
    parts = []
    for kind, count in runs[:_MAX_RUNS]:
        if kind in names:
            parts.append(f"{count} {names[kind][count > 1]}")
        else:
            parts.append(f'"{kind * count}"')
    if len(runs) > _MAX_RUNS or len(value) > MASK_CHARACTERS:
        parts.append("… " + _MORE[language].format(len(value)))
    return ", ".join(parts)


def for_terminal(text: str) -> str:
    """Return the text without what a terminal would obey instead of showing."""
    return text.translate(_CONTROLS)
