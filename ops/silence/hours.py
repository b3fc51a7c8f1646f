"""Hours of laboratories as France lives them: weekday, hour, holidays as Sundays. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from schemas.holidays import holidays

PARIS: Final = ZoneInfo("Europe/Paris")
HOUR_SECONDS: Final = 3_600
DAY_HOURS: Final = 24
SLOTS: Final = 7 * DAY_HOURS
SUNDAY: Final = 6


@lru_cache(maxsize=4_096)
def place_of(hour: int) -> tuple[int, int]:
    """Return the local day (an ordinal) and the hour of the day of an hour since 1970, UTC."""
    local = datetime.fromtimestamp(hour * HOUR_SECONDS, UTC).astimezone(PARIS)
    return local.toordinal(), local.hour


@lru_cache(maxsize=1_024)
def weekday_of(day: int) -> int:
    """Return which weekday a day is like: 0 Monday to 6 Sunday; a public holiday is a Sunday."""
    at = date.fromordinal(day)
    return SUNDAY if at in holidays(at.year) else at.weekday()


def spans(begins: float, ends: float) -> Iterator[tuple[int, float]]:
    """Give each hour between two moments (seconds since 1970) with the share of it between them."""
    hour = int(begins // HOUR_SECONDS)
    while hour * HOUR_SECONDS < ends:
        first = max(begins, hour * HOUR_SECONDS)
        last = min(ends, (hour + 1) * HOUR_SECONDS)
        yield hour, (last - first) / HOUR_SECONDS
        hour += 1


def day_of(at: datetime) -> int:
    """Return the local day of a moment, as an ordinal."""
    return at.astimezone(PARIS).toordinal()
