"""The fields that are compared and the levels to which they agree: names and numbers. Pure.

Numbers go into decisions, names into model files; a level is added at the end of its field, and a
field at the end. Level 0 is always `missing`, which says nothing.
"""

from __future__ import annotations

from typing import Final

FAMILY: Final = 0
GIVEN: Final = 1
MIDDLE: Final = 2
DATE: Final = 3
SEX: Final = 4
BIRTH_PLACE: Final = 5
POSTCODE: Final = 6
CITY: Final = 7
STREET: Final = 8
HOUSE: Final = 9
PHONE: Final = 10
EMAIL: Final = 11
STATE: Final = 12

MISSING: Final = 0
EXACT: Final = 1
# Names
NEAR: Final = 2
SIMILAR: Final = 3
PART: Final = 4
CROSSED: Final = 5  # family: birth name of one, used name of the other
LISTED: Final = 5  # given: stands in the other's list of given names, or is its used one
SWAPPED: Final = 6
NAME_DIFFERENT: Final = 7
INITIAL: Final = 8
MOVED: Final = 9  # family: another one, but one of both names is the other's given name
# Dates
DATE_SWAPPED: Final = 2
ONE_DIGIT: Final = 3
PARTLY: Final = 4
DEFAULT_DATE: Final = 5
BOTH_DEFAULT: Final = 6
TWO_DIGITS: Final = 7
DATE_DIFFERENT: Final = 8
# Sex, middle names
DIFFERENT: Final = 2
# Places, numbers
CLOSE: Final = 2
AREA: Final = 3
APART: Final = 4

_NAME: Final = ("missing", "exact", "near", "similar", "part")
_PLACE: Final = ("missing", "exact", "close", "area", "apart")

LEVELS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("family", (*_NAME, "crossed", "swapped", "different", "initial", "moved")),
    ("given", (*_NAME, "listed", "swapped", "different", "initial")),
    ("middle", ("missing", "exact", "different")),
    (
        "birth_date",
        (
            "missing", "exact", "day_month_swapped", "one_digit", "partly", "default",
            "both_default", "two_digits", "different",
        ),
    ),
    ("sex", ("missing", "exact", "different")),
    ("birth_place", _PLACE),
    ("postcode", _PLACE),
    ("city", _PLACE),
    ("street", _PLACE),
    ("house", _PLACE),
    ("phone", _PLACE),
    ("email", _PLACE),
    ("state", _PLACE),
)  # fmt: skip
"""Field by field, in the order of their numbers: its name, and its levels' names."""

FIELDS: Final = tuple(name for name, _ in LEVELS)


def level_name(field: int, level: int) -> str:
    """Return the name of a level, as it stands in model files and explanations."""
    return LEVELS[field][1][level]
