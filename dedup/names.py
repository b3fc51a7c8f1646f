"""Names in the one form in which they are compared, and how they sound. Pure.

`Céline` and `CELINE` are one name: hashing names as typed is how SI-DEP counted people twice until
May 2021. No name is folded away, digits in it are never stripped, folding twice is folding once.
Nothing is kept between calls, and no more than `MAX_NAME` characters are looked at twice.

Source: RNIV characters as in french-profile 1.5 (SEL-MP-043).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_NAME: Final = 100
"""Characters of a name that are compared; the door has noted what is longer."""

_LIGATURES: Final = str.maketrans(
    {
        "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O",
        "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
        "ı": "i", "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "′": "'", "＇": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-",
    }
)  # fmt: skip
_BREAKS: Final = str.maketrans(dict.fromkeys((*map(chr, range(33)), "-", "'", "\x7f"), " "))
_MARKED_SCRIPTS: Final = "\u0780"
"""Below it (Latin, Greek, Cyrillic, Hebrew, Arabic) marks are accents or vowels that one writes
or leaves out; above it they are letters of their own."""
PLACEHOLDER_NAMES: Final = frozenset(
    {
        "X", "XX", "XXX", "XXXX", "INCONNU", "INCONNUE", "UNKNOWN", "ANONYME", "ANONYMOUS", "NC",
        "SANS NOM", "SANS PRENOM", "NON RENSEIGNE", "NON COMMUNIQUE", "TEST", "PATIENT", "DOE",
        "ND", "NR", "N A", "NA RENSEIGNER", "NOM", "PRENOM", "ANONYMISE", "NO NAME", "NULL",
    }
)  # fmt: skip
PLACEHOLDER_GIVENS: Final = PLACEHOLDER_NAMES | frozenset(
    {
        "BB", "BEBE", "GARCON", "FILLE", "NOUVEAU NE", "NOUVEAUNE", "ENFANT", "MONSIEUR", "MADAME",
        "BEBE FILLE", "BEBE GARCON", "NNE", "JUMEAU", "JUMELLE", "M", "MME", "MR",
    }
)  # fmt: skip
_NUMBERED: Final = re.compile(r"(BB|BEBE|JUMEAU|JUMELLE|ENFANT|FILLE|GARCON|NN) ?([0-9A-D]|II?)")


def stored_form(name: str) -> str:
    """Return a name as the RNIV writes it: capitals, no diacritics, no ligatures.

    Hyphen and apostrophe stay. A letter of another alphabet stays as it is.
    """
    return " ".join(_plain(name).split())


def fold_name(name: str) -> str:
    """Return the form in which names are compared: as stored, space for hyphen and apostrophe."""
    if name.isascii() and name.isalpha() and len(name) <= MAX_NAME:
        return name.upper()
    return " ".join(_plain(name).translate(_BREAKS).split())


def _plain(name: str) -> str:
    text = name if len(name) <= 2 * MAX_NAME else name[: 2 * MAX_NAME]
    if not text.isascii():
        text = text.translate(_FRENCH)
        if not text.isascii():
            text = _in_capitals(text)
    return text[:MAX_NAME].upper()


def _in_capitals(text: str) -> str:
    """Return any text in capitals without marks; letter by letter, so rarely asked."""
    # Upper case can bring new ligatures and marks (ŉ, ΐ): until nothing changes.
    for _ in range(4):
        decomposed = unicodedata.normalize("NFKD", text.translate(_LIGATURES))
        folded = _without_marks(decomposed.upper().translate(_LIGATURES))
        if folded == text:
            break
        text = folded
    return text


def _without_marks(text: str) -> str:
    """Drop accents and what is not seen (direction marks, joiners, controls); keep all letters."""
    kept: list[str] = []
    base = ""
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Cf":
            continue
        if kind == "Cc":
            kept.append(" ")
        elif kind == "Cs":
            kept.append("\ufffd")  # half a character: kept as one that nobody can read
        elif unicodedata.combining(character) == 0:
            kept.append(character)
            base = character
        elif base >= _MARKED_SCRIPTS:
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


_FRENCH: Final = {
    code: plain
    for code, plain in [(code, _in_capitals(chr(code))) for code in (*range(0xC0, 0x250), 0x2019)]
    if plain and plain.isascii()
}
"""What nearly all accented names are made of: each letter as the slow way folds it."""

_DIGRAPHS: Final = (
    ("EAU", "O"), ("AULT", "O"), ("AUD", "O"), ("AU", "O"), ("PH", "F"), ("QU", "K"),
    ("GN", "N"), ("SCH", "S"), ("CH", "S"), ("TH", "T"), ("OU", "U"), ("KS", "X"), ("CS", "X"),
)  # fmt: skip
_CODES: Final = str.maketrans("BPCKQDTLMNRGJXZSFV", "112223345567788899")
_SILENT: Final = frozenset("AEIOUYHW")
SOUND_SIGNS: Final = 4
_LATIN: Final = re.compile(r"[^A-Z]")


def phonetic(name: str) -> str:
    """Return the French soundex (four signs) of a name; a name without Latin letters folded whole.

    The first letter counts by its sound (C and K are one). Blocking only: never a verdict.
    """
    return sound_of(fold_name(name))


def sound_of(folded: str) -> str:
    """Return the sound of a name that is folded already."""
    letters = folded if folded.isascii() and folded.isalpha() else _LATIN.sub("", folded)
    if not letters:
        return folded
    for written, sound in _DIGRAPHS:
        if written in letters:
            letters = letters.replace(written, sound)
    found = "K" if letters[0] in "CKQ" else letters[0]
    coded = letters.translate(_CODES)
    last = coded[0]
    for sign in coded[1:]:
        if sign != last:
            last = sign
            if sign not in _SILENT:
                found += sign
                if len(found) == SOUND_SIGNS:
                    break
    return found


def real_family(folded: str) -> str:
    """Return a folded family name, or nothing for a placeholder."""
    return "" if folded in PLACEHOLDER_NAMES else folded


def real_given(folded: str) -> str:
    """Return a folded given name, or nothing for a placeholder (BEBE, FILLE 2)."""
    if folded in PLACEHOLDER_GIVENS or (len(folded) < 12 and _NUMBERED.fullmatch(folded)):
        return ""
    return folded


def first_sound(given: str) -> str:
    """Return the sound of the first word: JEAN PIERRE is looked for where JEAN is."""
    return sound_of(given.partition(" ")[0]) if given else ""
