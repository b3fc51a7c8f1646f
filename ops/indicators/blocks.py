"""The blocks in which tables are published: a condition's ISO week, or month. Pure.

Disclosure control decides a week as a whole, so tables of its days are published together.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec

from routing.indicator_cells import MONTH_PERIOD, week_of
from schemas.figures import Period

_WEEK: Final = 7


class BlockOfTime(msgspec.Struct, frozen=True, order=True):
    """A week by its Monday, or a month by its first day (ordinals)."""

    begins: int
    is_month: bool = False

    @property
    def name(self) -> str:
        """As disclosure control calls it: `2026-S10`, `2026-03`."""
        if self.is_month:
            return date.fromordinal(self.begins).isoformat()[:7]
        return week_of(self.begins)

    @property
    def days(self) -> range:
        """The days of a week; of a month its first stands for all."""
        return range(self.begins, self.begins + (1 if self.is_month else _WEEK))

    @property
    def ends(self) -> int:
        """The Sunday of a week."""
        return self.begins + _WEEK - 1

    @property
    def last(self) -> int:
        """The last day: the Sunday of a week, the last of a month."""
        if not self.is_month:
            return self.ends
        first = date.fromordinal(self.begins)
        return self.begins + monthrange(first.year, first.month)[1] - 1

    @property
    def before(self) -> BlockOfTime:
        """The week before."""
        return BlockOfTime(self.begins - _WEEK)

    def times(self, today: int) -> list[tuple[Period, int]]:
        """Return the tables of the block that are not still to come: period and last day."""
        if self.is_month:
            return [(Period.MONTH, self.begins)]
        days = [day for day in self.days if day <= today]
        found = [(period, day) for period in (Period.DAY, Period.SEVEN_DAYS) for day in days]
        return [*found, (Period.WEEK, self.ends)] if self.ends <= today else found


def monday_of(day: int) -> int:
    """Return the Monday of a day's week; ordinal 1 was one."""
    return day - (day - 1) % _WEEK


def blocks_due(changed: Iterable[tuple[str, int]], today: int) -> list[BlockOfTime]:
    """Return the blocks whose tables may have changed, in order of time.

    A day is in the windows of the six days that follow it, and says who is told by days in the week
    after its own: so that week is looked at too.
    """
    found = set()
    for period, day in changed:
        if period == MONTH_PERIOD:
            found.add(BlockOfTime(day, is_month=True))
            continue
        monday = monday_of(day)
        found.update(BlockOfTime(each) for each in (monday, monday + _WEEK) if each <= today)
    return sorted(found)
