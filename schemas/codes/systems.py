"""Names of coding systems as laboratories write them, and texts as the tables hold them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Final

_LOINC_SYSTEMS: Final = frozenset({"LN", "LOINC", "HTTP://LOINC.ORG", "2.16.840.1.113883.6.1"})
_SNOMED_SYSTEMS: Final = frozenset(
    {"SCT", "SCT2", "SNM", "SNOMED", "SNOMED-CT", "SNOMED CT", "2.16.840.1.113883.6.96"}
)


def is_loinc(system: str) -> bool:
    """Say whether a coding system's name, as laboratories write it, means LOINC."""
    return system.upper() in _LOINC_SYSTEMS


def is_snomed(system: str) -> bool:
    """Say whether a coding system's name, as laboratories write it, means SNOMED CT."""
    return system.upper() in _SNOMED_SYSTEMS


def fold(text: str) -> str:
    """Return a text as the table of words holds it: no accents, no case, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
        text = "".join(each for each in text if not unicodedata.combining(each))
    return " ".join(text.split()).strip(" .;:,!*").casefold()


def table(name: str) -> bytes:
    """Return a table that stands beside this module."""
    return Path(__file__).with_name(name).read_bytes()
