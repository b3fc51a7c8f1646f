"""What is counted: cells by day, place, age and sex, and what a person's rows add to them. Pure.

A cell of a day holds what counts on that day, and what counts in the 7 days that end on it: an ISO
week is the 7 days that end on its Sunday, so it has no cells of its own. Whoever is counted as a
person stands in one cell of a time, so counts add up over departments, ages and sexes; over days
only those of `Measure` that are counts of rows do. Rules: docs/indicator-rules.md.
"""

from __future__ import annotations

import struct
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
_Lane = dict[int, int]
"""By day, counts packed into one number."""


class Ledger:
    """Adds up what rows and persons count.

    All counts of a cell are one whole number, 32 bits for each measure: one addition adds them all,
    below zero too, and they are taken apart once at the end. A run of windows is a step up and a
    step down. So a row costs four additions, however many windows and measures it counts in.
    """

    def __init__(self) -> None:
        self._strata: dict[Stratum, tuple[_Lane, _Lane]] = {}
        self._delays: dict[tuple[str, str], _Lane] = {}

    def add(self, rows: Sequence[Row], period: str, sign: int) -> None:
        """Count all rows of one condition of one person in one half-year, or take them back.

        Rows of the half-year before that reach into `period` count in its windows alone. `rows` may
        leave out those that are more than 6 days away from each that changes: what they would count
        is the same before and after.
        """
        if len(rows) == 1:
            self.add_one(rows[0], period, sign)
            return
        tested = []
        for row in rows:
            if row.period == period:
                self._add_row(row, _of_row(row.flags), sign)
            if row.flags & TEST:
                tested.append(row)
        if tested:
            self._add_days(tested, period, sign)
            self._add_windows([row for row in tested if not row.flags & MONTH], period, sign)

    def add_one(self, row: Row, period: str, sign: int) -> None:
        """Do the same for a person with one row."""
        flags = row.flags
        if row.period == period:
            self._add_row(row, _of_lone_row(flags), sign)
        if flags & (TEST | MONTH) == TEST:
            first, last = _ends(row, period)
            if first <= last:
                self._add_window(row, flags, first, last, sign)

    def deltas(self) -> Deltas:
        """Return what came together; nothing may be added afterwards."""
        cells: dict[CellKey, Counts] = {}
        for (condition, period, department, age_class, sex), (days, steps) in self._strata.items():
            running = last = 0
            for day in sorted(steps):
                if running:
                    for each in range(last, day):
                        days[each] = days.get(each, 0) + running
                running += steps[day]
                last = day
            for day, counted in days.items():
                if counted:
                    key = CellKey(condition, period, day, department, age_class, sex)
                    cells[key] = _apart(counted)
        delays = {
            DelayKey(condition, day, department): _delays_apart(counted)
            for (condition, department), lane in self._delays.items()
            for day, counted in lane.items()
            if counted
        }
        return Deltas(cells, delays)

    def _add_row(self, row: Row, counted: int, sign: int) -> None:
        days, _ = self._lanes(row)
        day, flags = row.day, row.flags
        days[day] = days.get(day, 0) + sign * counted
        if flags & (TEST | BY_RECEPTION | MONTH) == TEST and row.received:
            place = (row.condition, row.department)
            lane = self._delays.get(place)
            if lane is None:
                lane = self._delays[place] = {}
            counted = _of_delay(row.received - day, flags & POSITIVE)
            lane[day] = lane.get(day, 0) + sign * counted

    def _add_window(self, row: Row, flags: int, first: int, last: int, sign: int) -> None:
        _, steps = self._lanes(row)
        counted = sign * _of_window(flags & _PERSONAL)
        steps[first] = steps.get(first, 0) + counted
        steps[last + 1] = steps.get(last + 1, 0) - counted

    def _add_days(self, tested: Sequence[Row], period: str, sign: int) -> None:
        by_day: dict[int, list[Row]] = {}
        for row in tested:
            if row.period == period:
                by_day.setdefault(row.day, []).append(row)
        for day, found in by_day.items():
            speaks, flags = _together(found)
            days, _ = self._lanes(speaks)
            days[day] = days.get(day, 0) + sign * _of_person(flags & _PERSONAL)

    def _add_windows(self, tested: Sequence[Row], period: str, sign: int) -> None:
        spans = [(*_ends(row, period), row) for row in tested]
        turns = sorted({turn for first, last, _ in spans for turn in (first, last + 1)})
        for first, following in pairwise(turns):
            found = [row for begins, ends, row in spans if begins <= first <= ends]
            if found:
                speaks, flags = _together(found)
                self._add_window(speaks, flags, first, following - 1, sign)

    def _lanes(self, row: Row) -> tuple[_Lane, _Lane]:
        """Return the counts of days, and the steps of windows, of a row's place, age and sex."""
        period = MONTH_PERIOD if row.flags & MONTH else DAY
        stratum = (row.condition, period, row.department, row.age_class, row.sex)
        lanes = self._strata.get(stratum)
        if lanes is None:
            lanes = self._strata[stratum] = ({}, {})
        return lanes


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
_BITS: Final = 32
"""Of a measure in a packed number: no batch has so many events that a count goes beyond."""


class _Packing:
    """Takes whole numbers apart that hold many counts, each of 32 bits and signed."""

    def __init__(self, fields: int) -> None:
        self._bytes = fields * _BITS // 8
        self._unpack = struct.Struct(f"<{fields}i").unpack
        self._middle = sum(1 << _BITS * field + _BITS - 1 for field in range(fields))

    def apart(self, packed: int) -> tuple[int, ...]:
        """Return the counts; what a count below zero has borrowed of the next one is given back."""
        told = (packed + self._middle) ^ self._middle
        return self._unpack(told.to_bytes(self._bytes, "little"))


_CELL: Final = _Packing(MEASURES)
_DELAY: Final = _Packing(2 * DELAYS)


def _apart(packed: int) -> Counts:
    return list(_CELL.apart(packed))


def _delays_apart(packed: int) -> Delays:
    counts = _DELAY.apart(packed)
    return Delays(list(counts[:DELAYS]), list(counts[DELAYS:]))


def _one(place: int) -> int:
    return 1 << _BITS * place


@lru_cache(maxsize=4096)
def _of_row(flags: int) -> int:
    """Return what a row counts by itself, packed."""
    counted = sum(_one(measure) for flag, measure in _OF_ROWS if flags & flag)
    if flags & TEST and flags & BY_RECEPTION:
        counted += _one(Measure.BY_RECEPTION_TESTS)
    return counted


@lru_cache(maxsize=64)
def _of_person(flags: int) -> int:
    """Return what a person counts on a day, by what the tests of that day say together."""
    return sum(_one(measure) for flag, measure in _OF_PERSONS if flags & flag)


@lru_cache(maxsize=4096)
def _of_lone_row(flags: int) -> int:
    """Return what a row and its person count who has no other."""
    return _of_row(flags) + (_of_person(flags & _PERSONAL) if flags & TEST else 0)


@lru_cache(maxsize=64)
def _of_window(flags: int) -> int:
    """Return what a person counts in a window."""
    found = zip(WINDOWED, _OF_PERSONS, strict=True)
    return sum(_one(measure) for measure, (flag, _) in found if flags & flag)


@lru_cache(maxsize=4096)
def _of_delay(delay: int, positive: int) -> int:
    """Return what a row counts among delays: tests, then positives."""
    place = min(delay, LONGEST_DELAY + 1)
    return _one(place) + (_one(DELAYS + place) if positive else 0)


def _together(found: Collection[Row]) -> tuple[Row, int]:
    """Return the row whose place, age and sex a person has in a time, and what all rows count."""
    flags = 0
    for row in found:
        flags |= row.flags
    return max(found, key=_weight), flags


def _weight(row: Row) -> tuple[int, int, str, str, str]:
    """Order by which one row speaks for a person: a new case, a positive, then what is latest."""
    return row.flags & (CASE | POSITIVE), row.day, row.department, row.age_class, row.sex


def _ends(row: Row, period: str) -> tuple[int, int]:
    """Return the first and last day on which windows end that a row counts in, within a half-year.

    A half-year's windows know a person by that half-year's pseudonym.
    """
    begins, ends = bounds_of(period)
    last = row.day + WINDOW_DAYS - 1
    if row.period == period:
        return row.day, min(last, ends)
    return max(begins, row.day), last
