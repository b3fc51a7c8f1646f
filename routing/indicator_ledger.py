"""Adds up what rows and persons count in cells. Pure.

Rules: docs/indicator-rules.md; what a cell is: `indicator_cells`.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from . import indicator_rows as rows_of
from .indicator_cells import (
    DAY,
    DELAYS,
    LONGEST_DELAY,
    MEASURES,
    MONTH_PERIOD,
    WINDOWED,
    Counts,
    DelayKey,
    Delays,
    Deltas,
    Measure,
    Place,
)
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

Stratum = tuple[str, str, str, str, str]
"""Condition, period, department, age class, sex."""
_Span = tuple[int, int, Row, int]
"""First and last day on which windows end that hold a person's day; its row that weighs most, and
what its rows count together."""
_Lane = defaultdict[int, int]
"""By day, counts packed into one number; 0 where nothing was counted."""


class _Lanes(NamedTuple):
    """What is counted of a condition, place, age and sex, by day."""

    days: _Lane
    steps: _Lane
    """How much more windows count than those that end the day before."""
    delays: _Lane
    """Of the condition and place, whatever age and sex."""


class Ledger:
    """Adds up what rows and persons count.

    All counts of a cell are one whole number, 32 bits for each measure: one addition adds them all,
    below zero too, and they are taken apart once at the end. A run of windows is a step up and a
    step down. So a row costs four additions, however many windows and measures it counts in.
    """

    def __init__(self) -> None:
        self._strata: dict[Stratum, _Lanes] = {}
        self._delays: dict[tuple[str, str], _Lane] = defaultdict(lambda: defaultdict(int))

    def add(self, rows: Sequence[Row], period: str, sign: int) -> None:
        """Count all rows of one condition of one person in one half-year, or take them back.

        Rows of the half-year before that reach into `period` count in its windows alone. `rows` may
        leave out those that are more than 6 days away from each that changes: what they would count
        is the same before and after.
        """
        if len(rows) == 1:
            self.add_one(rows[0], period, sign)
            return
        by_day: dict[tuple[bool, int], list[Row]] = {}
        for row in rows:
            is_own = row.period == period
            if is_own:
                self._add_row(row, sign)
            if row.flags & TEST:
                by_day.setdefault((is_own, row.day), []).append(row)
        spans = []
        for (is_own, day), found in by_day.items():
            speaks, flags = _together(found)
            if is_own:
                days = self._lanes(speaks).days
                days[day] += sign * _of_person(flags & _PERSONAL)
            if not flags & MONTH:
                spans.append((*_ends(speaks, period), speaks, flags))
        if spans:
            self._add_windows(spans, sign)

    def add_one(self, row: Row, period: str, sign: int) -> None:
        """Do the same for a person with one row: most are, so little is called."""
        flags, day = row.flags, row.day
        days, steps, delays = self._lanes(row)
        begins, ends = bounds_of(period)
        first, following = day, day + WINDOW_DAYS
        if row.period == period:
            days[day] += sign * _of_lone_row(flags)
            if flags & (TEST | BY_RECEPTION | MONTH) == TEST and row.received:
                self._add_delay(delays, row, sign)
            following = min(following, ends + 1)
        else:
            first = max(begins, day)
        if flags & (TEST | MONTH) == TEST and first < following:
            counted = sign * _of_window(flags & _PERSONAL)
            steps[first] += counted
            steps[following] -= counted

    def deltas(self) -> Deltas:
        """Return what came together; nothing may be added afterwards."""
        found: dict[tuple[str, str, str], dict[int, dict[str, Counts]]] = {}
        for (condition, period, department, age_class, sex), lanes in self._strata.items():
            days, steps, _ = lanes
            running = last = 0
            for day in sorted(steps):
                if running:
                    for each in range(last, day):
                        days[each] += running
                running += steps[day]
                last = day
            by_day = found.setdefault((condition, period, department), {})
            name = age_class + sex
            for day, counted in days.items():
                if counted:
                    cells = by_day.get(day)
                    if cells is None:
                        cells = by_day[day] = {}
                    cells[name] = list(_apart_cell(counted))
        places = {
            Place(condition, period, day, department): cells
            for (condition, period, department), by_day in found.items()
            for day, cells in by_day.items()
        }
        delays = {
            DelayKey(condition, day, department): _delays_apart(counted)
            for (condition, department), lane in self._delays.items()
            for day, counted in lane.items()
            if counted
        }
        return Deltas(places, delays)

    def _add_row(self, row: Row, sign: int) -> None:
        lanes, day, flags = self._lanes(row), row.day, row.flags
        lanes.days[day] += sign * _of_row(flags)
        if flags & (TEST | BY_RECEPTION | MONTH) == TEST and row.received:
            self._add_delay(lanes.delays, row, sign)

    def _add_delay(self, delays: _Lane, row: Row, sign: int) -> None:
        day = row.day
        counted = sign * _of_delay(row.received - day, row.flags & POSITIVE)
        delays[day] += counted

    def _add_windows(self, spans: Sequence[_Span], sign: int) -> None:
        """Count one person in runs of windows that hold the same of its days."""
        turns = sorted({turn for first, last, _, _ in spans for turn in (first, last + 1)})
        for first, following in pairwise(turns):
            found = [each for each in spans if each[0] <= first <= each[1]]
            if found:
                speaks = found[0][2] if len(found) == 1 else max((s[2] for s in found), key=_weight)
                flags = 0
                for each in found:
                    flags |= each[3]
                counted = sign * _of_window(flags & _PERSONAL)
                _step(self._lanes(speaks).steps, first, following, counted)

    def _lanes(self, row: Row) -> _Lanes:
        """Return where a row of this condition, place, age and sex is counted."""
        period = MONTH_PERIOD if row.flags & MONTH else DAY
        stratum = (row.condition, period, row.department, row.age_class, row.sex)
        lanes = self._strata.get(stratum)
        if lanes is None:
            delays = self._delays[row.condition, row.department]
            lanes = self._strata[stratum] = _Lanes(defaultdict(int), defaultdict(int), delays)
        return lanes


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


_apart_cell: Final = _Packing(MEASURES).apart
_DELAY: Final = _Packing(2 * DELAYS)


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


def _step(steps: _Lane, first: int, following: int, counted: int) -> None:
    """Let windows count more from the first day on, and no more from the following one."""
    steps[first] += counted
    steps[following] -= counted


def _together(found: Sequence[Row]) -> tuple[Row, int]:
    """Return the row whose place, age and sex a person has on a day, and what all rows count."""
    flags = 0
    for row in found:
        flags |= row.flags
    return found[0] if len(found) == 1 else max(found, key=_weight), flags


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
