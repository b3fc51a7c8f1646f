"""What is counted: cells by day, place, age and sex, and what a person's rows add to them. Pure.

A cell of a day holds what counts on that day, and what counts in the 7 days that end on it: an ISO
week is the 7 days that end on its Sunday, so it has no cells of its own. Whoever is counted as a
person stands in one cell of a time, so counts add up over departments, ages and sexes; over days
only those of `Measure` that are counts of rows do. Rules: docs/indicator-rules.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from . import indicator_rows as rows_of
from .indicator_rows import (
    BY_RECEPTION,
    CASE,
    ELIGIBLE,
    MONTH,
    POSITIVE,
    TEST,
    WINDOW_DAYS,
    Row,
    bounds_of,
)

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


class Deltas(NamedTuple):
    """What is to be added to cells; nothing that is zero throughout."""

    cells: Mapping[CellKey, Counts]
    delays: Mapping[DelayKey, Delays]


Stratum = tuple[str, str, str, str, str]
"""Condition, period, department, age class, sex."""
_Lane = dict[int, Counts]


class Ledger:
    """Adds up what rows and persons count; windows as steps up and down, summed once at the end."""

    def __init__(self) -> None:
        self._days: dict[Stratum, _Lane] = {}
        self._steps: dict[Stratum, _Lane] = {}
        self._delays: dict[tuple[str, str], dict[int, Delays]] = {}

    def add(self, rows: Sequence[Row], period: str, sign: int) -> None:
        """Count all rows of one condition of one person in one half-year, or take them back.

        Rows of the half-year before that reach into `period` count in its windows alone. `rows` may
        leave out those that are more than 6 days away from each that changes: what they would count
        is the same before and after.
        """
        for row in rows:
            if row.period == period:
                self._add_row(row, sign)
        if len(rows) == 1:
            row = rows[0]
            if row.flags & TEST:
                if row.period == period:
                    self._add_person(row, row.flags, sign)
                first, last = _ends(row, period)
                if first <= last and not row.flags & MONTH:
                    self._add_window(row, row.flags, first, last, sign)
            return
        tested = [row for row in rows if row.flags & TEST]
        if tested:
            self._add_days(tested, period, sign)
            self._add_windows([row for row in tested if not row.flags & MONTH], period, sign)

    def deltas(self) -> Deltas:
        """Return what came together."""
        for stratum, steps in self._steps.items():
            lane = self._days.setdefault(stratum, {})
            running = [0] * len(WINDOWED)
            last = 0
            for day in sorted(steps):
                if any(running):
                    _raise(lane, range(last, day), running)
                running = [one + other for one, other in zip(running, steps[day], strict=True)]
                last = day
        self._steps = {}
        cells = {
            CellKey(stratum[0], stratum[1], day, stratum[2], stratum[3], stratum[4]): counts
            for stratum, lane in self._days.items()
            for day, counts in lane.items()
            if any(counts)
        }
        delays = {
            DelayKey(condition, day, department): counted
            for (condition, department), lanes in self._delays.items()
            for day, counted in lanes.items()
            if any(counted.tests) or any(counted.positive_tests)
        }
        return Deltas(cells, delays)

    def _add_row(self, row: Row, sign: int) -> None:
        flags, day = row.flags, row.day
        counts = self._counts(_stratum(row), day)
        for measure in _row_measures(flags):
            counts[measure] += sign
        if flags & (TEST | BY_RECEPTION | MONTH) != TEST or not row.received:
            return
        place = (row.condition, row.department)
        lane = self._delays.get(place)
        if lane is None:
            lane = self._delays[place] = {}
        counted = lane.get(day)
        if counted is None:
            counted = lane[day] = Delays([0] * DELAYS, [0] * DELAYS)
        delay = min(row.received - day, LONGEST_DELAY + 1)
        counted.tests[delay] += sign
        if flags & POSITIVE:
            counted.positive_tests[delay] += sign

    def _add_person(self, row: Row, flags: int, sign: int) -> None:
        counts = self._counts(_stratum(row), row.day)
        for measure in _person_measures(flags & _PERSONAL):
            counts[measure] += sign

    def _add_window(self, row: Row, flags: int, first: int, last: int, sign: int) -> None:
        stratum = _stratum(row)
        lane = self._steps.get(stratum)
        if lane is None:
            lane = self._steps[stratum] = {}
        up, down = lane.get(first), lane.get(last + 1)
        if up is None:
            up = lane[first] = [0] * len(WINDOWED)
        if down is None:
            down = lane[last + 1] = [0] * len(WINDOWED)
        for place in _window_places(flags & _PERSONAL):
            up[place] += sign
            down[place] -= sign

    def _add_days(self, tested: Sequence[Row], period: str, sign: int) -> None:
        by_day: dict[int, list[Row]] = {}
        for row in tested:
            if row.period == period:
                by_day.setdefault(row.day, []).append(row)
        for found in by_day.values():
            speaks, flags = _together(found)
            self._add_person(speaks, flags, sign)

    def _add_windows(self, tested: Sequence[Row], period: str, sign: int) -> None:
        spans = [(*_ends(row, period), row) for row in tested]
        turns = sorted({turn for first, last, _ in spans for turn in (first, last + 1)})
        for first, following in pairwise(turns):
            found = [row for begins, ends, row in spans if begins <= first <= ends]
            if found:
                speaks, flags = _together(found)
                self._add_window(speaks, flags, first, following - 1, sign)

    def _counts(self, stratum: Stratum, day: int) -> Counts:
        lane = self._days.get(stratum)
        if lane is None:
            lane = self._days[stratum] = {}
        counts = lane.get(day)
        if counts is None:
            counts = lane[day] = [0] * MEASURES
        return counts


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
    return [one + other for one, other in zip(held, change, strict=True)]


_PERSONAL: Final = TEST | POSITIVE | ELIGIBLE | CASE
_OF_ROWS: Final = (
    (TEST, Measure.TESTS),
    (POSITIVE, Measure.POSITIVE_TESTS),
    (rows_of.INDETERMINATE, Measure.INDETERMINATE_TESTS),
    (rows_of.UNUSABLE, Measure.UNUSABLE),
    (rows_of.IMPUTED, Measure.IMPUTED_TESTS),
    (rows_of.OTHER, Measure.OTHER_TESTS),
    (rows_of.OTHER_POSITIVE, Measure.OTHER_POSITIVE_TESTS),
    (rows_of.SCREENED, Measure.SCREENED),
    (rows_of.SEQUENCED, Measure.SEQUENCED),
    *((flag, Measure[mark]) for mark, flag in rows_of.LETTERS.items()),
)
_OF_PERSONS: Final = (
    (TEST, Measure.PERSONS),
    (POSITIVE, Measure.POSITIVE_PERSONS),
    (ELIGIBLE, Measure.ELIGIBLE_PERSONS),
    (CASE, Measure.CASES),
)


@lru_cache(maxsize=4096)
def _row_measures(flags: int) -> tuple[int, ...]:
    found = [int(measure) for flag, measure in _OF_ROWS if flags & flag]
    if flags & TEST and flags & BY_RECEPTION:
        found.append(int(Measure.BY_RECEPTION_TESTS))
    return tuple(found)


@lru_cache(maxsize=64)
def _person_measures(flags: int) -> tuple[int, ...]:
    return tuple(int(measure) for flag, measure in _OF_PERSONS if flags & flag)


@lru_cache(maxsize=64)
def _window_places(flags: int) -> tuple[int, ...]:
    return tuple(place for place, (flag, _) in enumerate(_OF_PERSONS) if flags & flag)


def _together(found: Collection[Row]) -> tuple[Row, int]:
    """Return the row whose place, age and sex a person has in a time, and what all rows count."""
    flags = 0
    for row in found:
        flags |= row.flags
    return max(found, key=_weight), flags


def _weight(row: Row) -> tuple[int, int, str, str, str]:
    """Order by which one row speaks for a person: a new case, a positive, then what is latest."""
    return row.flags & (CASE | POSITIVE), row.day, row.department, row.age_class, row.sex


def _stratum(row: Row) -> Stratum:
    period = MONTH_PERIOD if row.flags & MONTH else DAY
    return row.condition, period, row.department, row.age_class, row.sex


def _ends(row: Row, period: str) -> tuple[int, int]:
    """Return the first and last day on which windows end that a row counts in, within a half-year.

    A half-year's windows know a person by that half-year's pseudonym.
    """
    begins, ends = bounds_of(period)
    last = row.day + WINDOW_DAYS - 1
    if row.period == period:
        return row.day, min(last, ends)
    return max(begins, row.day), last


def _raise(lane: _Lane, days: range, by: Sequence[int]) -> None:
    for day in days:
        counts = lane.get(day)
        if counts is None:
            counts = lane[day] = [0] * MEASURES
        for measure, count in zip(WINDOWED, by, strict=True):
            counts[measure] += count
