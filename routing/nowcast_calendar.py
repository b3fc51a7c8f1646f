"""Which days laboratories are closed, and which make up for them. Pure; days are ordinals."""

from __future__ import annotations

from typing import Final

_FRIDAY: Final = 4
_SUNDAY: Final = 6


def weekday_of(day: int) -> int:
    """Return the day of the week of an ordinal, Monday 0."""
    return (day - 1) % 7  # ordinal 1 was a Monday


def open_day(day: int, holidays: frozenset[int]) -> int:
    """Return the day, or the last one before on which laboratories were open.

    After a holiday on a Saturday Sunday brings nothing of it.
    """
    while day in holidays or (weekday_of(day) == _SUNDAY and day - 1 in holidays):
        day -= 1
    return day


def friday_before(day: int) -> int | None:
    """Return the Friday before a Saturday or Sunday."""
    after = weekday_of(day) - _FRIDAY
    return day - after if after > 0 else None


def makes_up(day: int, holidays: frozenset[int]) -> bool:
    """Say whether a day is a holiday, or may bring what was due on one."""
    weekend = {day - 1, *((day - 2, day - 3) if weekday_of(day) == 0 else ())}
    friday = friday_before(day)
    return not holidays.isdisjoint({day, friday, *weekend})
