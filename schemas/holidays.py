"""Public holidays of France, computed: laboratories are closed as on a Sunday. Pure.

Code du travail, article L3133-1; in Haut-Rhin, Bas-Rhin and Moselle also Good Friday and 26
December (article L3134-13). Easter: Meeus, Jones and Butcher, Gregorian years.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

ALSACE_MOSELLE: Final = frozenset({"57", "67", "68"})
_FIXED: Final = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
_AFTER_EASTER: Final = (1, 39, 50)
"""Easter Monday, Ascension, Whit Monday."""
_GOOD_FRIDAY: Final = -2


def easter(year: int) -> date:
    """Return Easter Sunday."""
    a, b, c = year % 19, year // 100, year % 100
    d, e, f = b // 4, b % 4, (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    length = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * length) // 451
    month, day = divmod(h + length - 7 * m + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=1024)
def holidays(year: int, department: str = "") -> frozenset[date]:
    """Return the holidays of a year; of a department with those that are its own."""
    sunday = easter(year)
    found = {date(year, month, day) for month, day in _FIXED}
    found |= {sunday + timedelta(days=after) for after in _AFTER_EASTER}
    if department in ALSACE_MOSELLE:
        found |= {sunday + timedelta(days=_GOOD_FRIDAY), date(year, 12, 26)}
    return frozenset(found)


def holidays_between(first: int, last: int, department: str = "") -> frozenset[int]:
    """Return the holidays from one ordinal to another, both included, as ordinals."""
    years: Iterable[int] = range(date.fromordinal(first).year, date.fromordinal(last).year + 1)
    return frozenset(
        each.toordinal()
        for year in years
        for each in holidays(year, department)
        if first <= each.toordinal() <= last
    )
