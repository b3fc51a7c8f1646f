"""Data types without parts: how a value of each is written, and how long it may be.

Each has a pattern for the quick look, which may take too little and never too much, and a
predicate that decides. Lengths are those of the standard's own types (ST 199, NM 16, SI 4, IS 20);
TX and FT have none, for documents in Base64 are longer than any. Source: HL7 v2.5.1 chapter 2A.
"""

from __future__ import annotations

import re
from calendar import monthrange
from typing import Final

TEXT: Final = r"[^|^~&\r]"
"""One letter of a text: no standard separator."""

LEAVES: Final = frozenset(
    {"ST", "TX", "FT", "ID", "IS", "NM", "SI", "DT", "TM", "DTM", "GTS", "TN", "WD"}
)
"""The data types without parts."""

LENGTHS: Final = {"ST": 199, "GTS": 199, "WD": 199, "IS": 20, "NM": 16, "SI": 4}
"""The most characters of each data type that has a bound."""

_OFFSET: Final = r"(?:[+-](?:0\d|1[0-4])[0-5]\d)?+"
_CLOCK: Final = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,4}+)?+)?+)?+"
_YEAR: Final = r"(?!0000)\d{4}"
_ANY_DAYS: Final = r"(?:0[1-9]|[12]\d|3[01])"


def _dates(clock: str = "") -> str:
    hours = f"(?:{clock})?+" if clock else ""
    return rf"{_YEAR}(?:(?:0[1-9]|1[0-2])(?:{_ANY_DAYS}{hours})?+)?+"


def _quick_dates(clock: str = "") -> str:
    """Return what takes the dates that exist every year and are no 31st."""
    hours = f"(?:{clock})?+" if clock else ""
    days = r"(?:(?<!02)(?:0[1-9]|[12]\d|30)|(?<=02)(?:0[1-9]|1\d|2[0-8]))"
    return rf"{_YEAR}(?:(?:0[1-9]|1[0-2])(?:{days}{hours})?+)?+"


PATTERNS: Final = {
    "NM": r"[+-]?+(?=[\d.]{1,15}+[|^~&]|[\d.]{1,15}+\Z)\d++(?:\.\d*+)?+",
    "SI": r"\d{1,4}+",
    "DT": _quick_dates(),
    "TM": _CLOCK + _OFFSET,
    "DTM": _quick_dates(_CLOCK) + _OFFSET,
}
"""Of the data types that have a form; those of any other are text."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_SEQUENCE: Final = re.compile(r"\d+", re.ASCII)
_DATE: Final = re.compile(_dates(), re.ASCII)
_TIME_OF_DAY: Final = re.compile(PATTERNS["TM"], re.ASCII)
_TIME: Final = re.compile(_dates(_CLOCK) + _OFFSET, re.ASCII)
_FORMS: Final = {
    "NM": _NUMBER,
    "SI": _SEQUENCE,
    "DT": _DATE,
    "TM": _TIME_OF_DAY,
    "DTM": _TIME,
}
_WITH_DAYS: Final = frozenset({"DT", "DTM"})

# v2.5.1 table 0396: 99zzz is a local system, HL7nnnn an HL7 table, ISOnnnn a standard of ISO.
OPEN: Final = {
    "0396": re.compile(r"99[A-Za-z0-9]+|HL7\d{4}|ISO\d{4,5}|IBT\d{4}", re.ASCII),
    # ISO 3166, three letters: hl7apy holds no list of countries in some versions.
    "0399": re.compile(r"[A-Z]{3}", re.ASCII),
}


def form_is_right(value: str, datatype: str) -> bool:
    """Say whether a value is written as its data type requires."""
    form = _FORMS.get(datatype)
    if form is None:
        return True
    if form.fullmatch(value) is None:
        return False
    if datatype in _WITH_DAYS and len(value) >= 8 and value[4:8].isdigit():
        return int(value[6:8]) <= monthrange(int(value[:4]), int(value[4:6]))[1]
    return True


def is_too_long(value: str, datatype: str) -> bool:
    """Say whether a value has more characters than its data type allows."""
    most = LENGTHS.get(datatype)
    return most is not None and len(value) > most


def is_in_table(value: str, table: str, values: frozenset[str]) -> bool:
    """Say whether a value is in a table, or in the open part of one."""
    if value in values:
        return True
    is_open = OPEN.get(table)
    return is_open is not None and is_open.fullmatch(value) is not None
