"""Times of HL7 as ISO 8601: a time with its offset, a date, a year; None for what is neither.

Source: HL7 v2.5.1 chapter 2A (DTM, TS), read as senders write it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

TIME_CHARACTERS: Final = 32
"""The most characters of what is read as a time."""
_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6})\d*)?)?)?)?)?)?"
    r"([+-]\d{4})?",
    re.ASCII,
)
_ZONED: Final = re.compile(r"(\d{8})(\d\d)(\d\d)(\d\d)([+-]\d{4})", re.ASCII)
_OFFSETS: Final = {
    f"{sign}{hours:02d}{minutes}": f"{sign}{hours:02d}:{minutes}"
    for sign in "+-"
    for hours in range(15)
    for minutes in ("00", "30", "45")
    if (sign, hours, minutes) != ("-", 0, "00")
}
"""Offsets as senders write them; the rarer ones, and `-0000`, are read the long way."""
_OLDEST_YEAR: Final = "1850"


@lru_cache(maxsize=8_192)
def timestamp(raw: str, zone: str) -> str | None:
    """Return an HL7 time as ISO 8601, a date when only a date was given, None if unreadable.

    Kept for times of laboratories only: a birth date never enters the cache.
    """
    zoned = _ZONED.fullmatch(raw)
    if zoned is not None:
        day, hour, minute, second, offset = zoned.groups()
        date, shift = _calendar_day(day), _OFFSETS.get(offset)
        if date and shift and hour < "24" and minute < "60" and second < "60":
            return f"{date}T{hour}:{minute}:{second}{shift}"
    match = _TIME.fullmatch(raw)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if hour is None:
        return date_of(raw[: 4 + 2 * (month is not None) + 2 * (day is not None)])
    try:
        at = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute or 0),
            int(second or 0),
            tzinfo=_offset(offset) if offset else ZoneInfo(zone),
        )
    except ValueError:
        return None
    if at.year < int(_OLDEST_YEAR):
        return None
    text = at.isoformat()
    return f"{text[:19]}.{fraction}{text[19:]}" if fraction else text


@lru_cache(maxsize=4_096)
def _calendar_day(digits: str) -> str:
    """Return a day as ISO 8601, empty where there is none. Never of a patient."""
    found = date_of(digits)
    return found if found is not None and len(found) == 10 else ""


def _offset(text: str) -> timezone:
    """Return `+0100` as a time zone; ValueError where it is none (RFC 3339 knows minutes to 59)."""
    if int(text[3:]) > 59 or int(text[1:3]) > 14:
        raise ValueError
    seconds = int(text[1:3]) * 3_600 + int(text[3:]) * 60
    return timezone(timedelta(seconds=-seconds if text[0] == "-" else seconds))


def date_of(raw: str) -> str | None:
    """Return a date as ISO 8601, shortened where month or day are absent or 00, else None."""
    digits = raw[:8]
    if len(digits) not in {4, 6, 8} or not digits.isascii() or not digits.isdigit():
        return None
    year, month, day = digits[:4], digits[4:6], digits[6:8]
    if year < _OLDEST_YEAR:
        return None
    if "01" <= day <= "28" and "01" <= month <= "12":
        return f"{year}-{month}-{day}"
    if month in {"", "00"}:
        return year if day in {"", "00"} else None
    try:
        datetime(int(year), int(month), int(day) if day not in {"", "00"} else 1)  # noqa: DTZ001
    except ValueError:
        return None
    return f"{year}-{month}-{day}" if day not in {"", "00"} else f"{year}-{month}"
