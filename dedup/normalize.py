"""Folding of traits, so that one name has one form however it was typed. Pure.

`Céline` and `CELINE` are one name: hashing names as typed is how SI-DEP counted people twice until
May 2021. Nothing is ever folded away to an empty string, and digits are never stripped.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_LIGATURES: Final = str.maketrans(
    {
        "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O",
        "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
        "ı": "i",
    }
)  # fmt: skip
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("’‘ʼ`´′＇", "'"))
_BREAKS: Final = re.compile(r"[\s\-'‐‑‒–—]+")
_FULL_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

PLACEHOLDER_NAMES: Final = frozenset(
    {
        "X", "XX", "XXX", "XXXX", "INCONNU", "INCONNUE", "UNKNOWN", "ANONYME", "ANONYMOUS", "NC",
        "SANS NOM", "SANS PRENOM", "NON RENSEIGNE", "NON COMMUNIQUE", "TEST", "PATIENT", "DOE",
    }
)  # fmt: skip
PLACEHOLDER_GIVENS: Final = PLACEHOLDER_NAMES | frozenset(
    {"BB", "BEBE", "GARCON", "FILLE", "NOUVEAU NE", "NOUVEAUNE", "ENFANT", "MONSIEUR", "MADAME"}
)


@lru_cache(maxsize=4_096)
def stored_form(name: str) -> str:
    """Return a name as the RNIV writes it: capitals, no diacritics, no ligatures.

    Hyphen and apostrophe stay. A letter of another alphabet stays as it is.
    """
    text = unicodedata.normalize("NFKD", name.translate(_LIGATURES).translate(_APOSTROPHES))
    text = "".join(c for c in text if not unicodedata.combining(c)).upper()
    return " ".join(text.split())


@lru_cache(maxsize=4_096)
def fold_name(name: str) -> str:
    """Return the form in which names are compared: as stored, space for hyphen and apostrophe."""
    return _BREAKS.sub(" ", stored_form(name)).strip()


def fold_sex(sex: str) -> str:
    """Return M, F or nothing: whatever else is sent says nothing about who it is."""
    return sex if sex in {"M", "F"} else ""


def full_date(date: str) -> str:
    """Return an ISO date that has its day, or nothing."""
    return date if _FULL_DATE.fullmatch(date) else ""


def fold_place(place: str) -> str:
    """Return an INSEE code of five characters, or nothing (99999 says unknown)."""
    code = place.strip().upper()
    return code if len(code) == 5 and code != "99999" else ""


_DIGRAPHS: Final = (
    ("EAU", "O"), ("AULT", "O"), ("AUD", "O"), ("AU", "O"), ("PH", "F"), ("QU", "K"),
    ("GN", "N"), ("SCH", "S"), ("CH", "S"), ("TH", "T"), ("OU", "U"), ("KS", "X"), ("CS", "X"),
)  # fmt: skip
_CODES: Final = str.maketrans("BPCKQDTLMNRGJXZSFV", "112223345567788899")
_SILENT: Final = re.compile(r"[AEIOUYHW]")
_LATIN: Final = re.compile(r"[^A-Z]")
_RUNS: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=4_096)
def phonetic(name: str) -> str:
    """Return the French soundex (four signs) of a name; a name without Latin letters folded whole.

    The first letter counts by its sound (C and K are one). Blocking only: never a verdict.
    """
    folded = fold_name(name)
    letters = _LATIN.sub("", folded)
    if not letters:
        return folded
    for written, sound in _DIGRAPHS:
        letters = letters.replace(written, sound)
    first = "K" if letters[0] in "CKQ" else letters[0]
    coded = _RUNS.sub(r"\1", letters.translate(_CODES))
    rest = _SILENT.sub("", coded[1:])
    return (first + rest)[:4]


def is_placeholder(family: str, given: str) -> bool:
    """Say whether folded names stand for nobody: a missing name, X, INCONNU, BEBE."""
    return not family or family in PLACEHOLDER_NAMES or not given or given in PLACEHOLDER_GIVENS
