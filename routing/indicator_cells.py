"""What is counted: cells by day, place, age and sex, and their measures. Pure.

A cell of a day holds what counts on that day, and what counts in the 7 days that end on it: an ISO
week is the 7 days that end on its Sunday, so it has no cells of its own. Whoever is counted as a
person stands in one cell of a time, so counts add up over departments, ages and sexes; over days
only those of `Measure` that are counts of rows do. Rules: docs/indicator-rules.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import IntEnum
from operator import add
from typing import Final, NamedTuple

DAY: Final = "day"
MONTH_PERIOD: Final = "month"
LONGEST_DELAY: Final = 21
"""Days from sampling to reception that are told apart; later ones are one class."""
DELAYS: Final = LONGEST_DELAY + 2
"""Classes of delay: 0 to `LONGEST_DELAY` days, and later."""


class Measure(IntEnum):
    """What a cell counts, by place in its counts. New ones come at the end."""

    TESTS = 0
    """First lines with an answer: positive, negative or indeterminate. Counts rows."""
    POSITIVE_TESTS = 1
    INDETERMINATE_TESTS = 2
    UNUSABLE = 3
    """First lines and analyses without case whose specimen was of no use; no tests."""
    PERSONS = 4
    """Distinct persons with a test on the day."""
    POSITIVE_PERSONS = 5
    ELIGIBLE_PERSONS = 6
    """Distinct persons with a test on the day who had not been positive in the 60 days before."""
    CASES = 7
    """Distinct persons with a new case on the day."""
    PERSONS_7 = 8
    """Distinct persons with a test in the 7 days that end on the day."""
    POSITIVE_PERSONS_7 = 9
    ELIGIBLE_PERSONS_7 = 10
    """Denominator of the 60-day rule: as `ELIGIBLE_PERSONS`, in the 7 days."""
    CASES_7 = 11
    """Numerator of the 60-day rule: distinct persons with a new case in the 7 days."""
    IMPUTED_TESTS = 12
    """Tests whose residence is imputed from the postcode. Counts rows, as do all that follow."""
    BY_RECEPTION_TESTS = 13
    """Tests that count on their day of reception."""
    OTHER_TESTS = 14
    """Analyses that make no case (antibodies), with an answer."""
    OTHER_POSITIVE_TESTS = 15
    SCREENED = 16
    """Positive tests whose variant is told by mutations that were screened for."""
    SEQUENCED = 17
    """Positive tests whose variant is told by a lineage."""
    A0 = 18
    A1 = 19
    B0 = 20
    B1 = 21
    C0 = 22
    C1 = 23
    D0 = 24
    D1 = 25


MEASURES: Final = len(Measure)
WINDOWED: Final = (
    Measure.PERSONS_7,
    Measure.POSITIVE_PERSONS_7,
    Measure.ELIGIBLE_PERSONS_7,
    Measure.CASES_7,
)
"""Those of the 7 days that end on the cell's day; never summed over days."""
DISTINCT: Final = frozenset({*WINDOWED, *range(Measure.PERSONS, Measure.CASES + 1)})
"""Those that count persons: they add up over places, ages and sexes, never over days."""

Counts = list[int]
"""By `Measure`; of a change also below zero."""


class CellKey(NamedTuple):
    """Of what a cell counts."""

    condition: str
    period: str
    """`day`, or `month` of conditions that are declared anonymously: those have no 7 days."""
    day: int
    """Ordinal of the day (`date.toordinal`); of a month its first day."""
    department: str
    """Of residence; empty where unknown."""
    age_class: str
    """cl_age90 without `0`: `09` ... `90`; empty where unknown."""
    sex: str
    """`M`, `F`, `U`."""


class DelayKey(NamedTuple):
    """Of what delays are counted; of rows whose day of sampling is known, and is a day."""

    condition: str
    day: int
    department: str


class Delays(NamedTuple):
    """By days from sampling to first reception: `0` to `LONGEST_DELAY`, then later."""

    tests: list[int]
    positive_tests: list[int]


class Place(NamedTuple):
    """Where cells lie together: all ages and sexes of a condition, a time and a department."""

    condition: str
    period: str
    day: int
    department: str


class Deltas(NamedTuple):
    """What is to be added to cells; nothing that is zero throughout."""

    places: Mapping[Place, Mapping[str, Counts]]
    """By age class and sex, as `29F`: one letter for the sex."""
    delays: Mapping[DelayKey, Delays]

    @property
    def cells(self) -> dict[CellKey, Counts]:
        """The same, a key for each cell."""
        return {
            CellKey(*place, name[:-1], name[-1]): counts
            for place, cells in self.places.items()
            for name, counts in cells.items()
        }


def week_of(day: int) -> str:
    """Return the ISO week of a day's ordinal, as the files name it: `2026-S10`."""
    year, week, _ = date.fromordinal(day).isocalendar()
    return f"{year:04d}-S{week:02d}"


def sunday_of(week: str) -> int:
    """Return the ordinal of the last day of an ISO week (`2026-S10`): its cells are that day's.

    Raises:
        ValueError: No such week.
    """
    year, _, number = week.partition("-S")
    return date.fromisocalendar(int(year), int(number), 7).toordinal()


def added(held: Sequence[int] | None, change: Sequence[int]) -> Counts:
    """Return counts with a change added."""
    if held is None:
        return list(change)
    return list(map(add, held, change))
