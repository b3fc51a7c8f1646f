"""The day on which a report counts, and how days are counted from one. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Final

_AHEAD: Final = timedelta(days=1)
"""A day of sampling is the laboratory's, that of reception is UTC: east of it, tomorrow is now."""


def counted_day(sampled: date | None, received: date) -> date:
    """Return the day a report counts on: of sampling, or of reception.

    Of reception where nobody gave a day of sampling, or gave one that has not begun anywhere.
    """
    return received if sampled is None or sampled > received + _AHEAD else sampled


class Reading(StrEnum):
    """From when the window runs: the sources do not say which, so it is a parameter."""

    LAST_POSITIVE = "last_positive"
    """From the last positive, new case or not: `no positive in the previous 60 days`."""
    LAST_COUNTED = "last_counted"
    """From the last positive that was a new case."""
