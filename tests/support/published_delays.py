"""Made-up delays of made-up results, and what an attacker knows of them by what is published.

As `published`: nothing of the code under test but the shape of what it tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from random import Random
from typing import NamedTuple

from schemas.areas import region_of
from schemas.figures import ALL_AGES, FRANCE, DelayFigure, Figure, Period

from .published import Results

BINS = 24
"""0 to 21 days, later, no known day of sampling."""


class Sample(NamedTuple):
    """The finest there is."""

    department: str
    day: date
    bin: int


Tests = Counter[Sample]
Equation = tuple[frozenset[Sample], int]


def with_delays(random: Random, results: Results, *, unknown: float, slow: float) -> Tests:
    """Give each result a delay: most come within three days, some share much later."""
    found: Tests = Counter()
    for leaf, count in sorted(results.items()):
        for _ in range(count):
            chance = random.random()
            if chance < unknown:
                place = BINS - 1
            elif chance < unknown + slow:
                place = random.randint(0, BINS - 2)
            else:
                place = min(21, int(random.expovariate(0.9)))
            found[Sample(leaf.department, leaf.day, place)] += 1
    return found


def by_department(tests: Tests, days: Sequence[date]) -> dict[str, list[list[int]]]:
    """Return the tests by department, day and bin."""
    found: dict[str, list[list[int]]] = {}
    for test, count in tests.items():
        held = found.setdefault(test.department, [[0] * BINS for _ in days])
        held[days.index(test.day)][test.bin] += count
    return found


def members(area: str, departments: Iterable[str], days: Iterable[date]) -> Iterator[Sample]:
    """Give all tests that there could be of an area; `elsewhere` is who lives nowhere known."""
    kind, _, code = area.partition(":")
    for department in (*departments, ""):
        inside = (
            area == FRANCE
            or (kind == "elsewhere" and not department)
            or (kind == "department" and department == code)
            or (kind == "region" and department and region_of(department) == code)
        )
        if inside:
            for day in days:
                for place in range(BINS):
                    yield Sample(department, day, place)


def bins_of(first: int | None, last: int | None, *, unknown: bool) -> range:
    """Return the bins of a published class."""
    if first is None:
        return range(BINS - 1, BINS)
    return range(first, (BINS - 2 if last is None else last) + 1 + unknown)


def known_of_tests(
    figures: Iterable[Figure], departments: Sequence[str], days: Sequence[date]
) -> list[Equation]:
    """Return what published figures say of tests."""
    week = "{:04d}-S{:02d}".format(*days[0].isocalendar()[:2])
    found: list[Equation] = []
    for each in figures:
        if each.tests is None or each.age_class != ALL_AGES or each.sex:
            continue
        if each.label == week:
            asked = list(days)
        elif each.period == Period.DAY:
            asked = [day for day in days if day.isoformat() == each.label]
        else:
            continue
        found.append((frozenset(members(each.area, departments, asked)), each.tests))
    return found


def known_of_delays(
    figures: Iterable[DelayFigure], departments: Sequence[str], days: Sequence[date]
) -> list[Equation]:
    """Return what published delays say."""
    found: list[Equation] = []
    for each in figures:
        asked = days_of(each, days)
        every = list(members(each.area, departments, asked))
        for some in each.classes:
            bins = bins_of(some.first, some.last, unknown=some.unknown)
            found.append((frozenset(test for test in every if test.bin in bins), some.tests))
    return found


def days_of(figure: DelayFigure, days: Sequence[date]) -> list[date]:
    """Return the days that a figure is of."""
    if figure.period == Period.DAY:
        return [day for day in days if day.isoformat() == figure.label]
    return list(days)
