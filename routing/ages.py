"""Ages out of birth dates that may be shortened."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Final

from .places import day_of

OLDEST: Final = 130
_WHOLE_DATE: Final = len("1979-03-28")


def age_at(birth_date: str, day: date) -> int | None:
    """Return completed years; None where the birth date is unknown, after `day` or implausible.

    A shortened birth date (`1979`, `1979-03`) gives an age only where it leaves no doubt.
    """
    if len(birth_date) == _WHOLE_DATE:
        whole = day_of(birth_date)
        if whole is None or whole > day:
            return None
        years = _completed_years(whole, day)
        return years if years <= OLDEST else None
    born = _born_between(birth_date)
    if born is None or born[0] > day:
        return None
    oldest, youngest = (_completed_years(each, day) for each in born)
    return oldest if oldest == youngest and 0 <= oldest <= OLDEST else None


def _born_between(birth_date: str) -> tuple[date, date] | None:
    year, _, rest = birth_date.partition("-")
    if not year.isdecimal() or not 1 <= int(year) <= 9999:
        return None
    if not rest:
        return date(int(year), 1, 1), date(int(year), 12, 31)
    if len(rest) == len("03") and rest.isdecimal() and 1 <= int(rest) <= 12:
        last = monthrange(int(year), int(rest))[1]
        return date(int(year), int(rest), 1), date(int(year), int(rest), last)
    born = day_of(birth_date)
    return None if born is None else (born, born)


def _completed_years(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
