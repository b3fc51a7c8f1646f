"""Made-up results, the figures counted of them, and an attack on what is published of those.

Nothing here comes from the code under test but the shape of a figure: counting is by brute force,
and the attack knows the published figures alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final, NamedTuple

from schemas.areas import region_of
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES, Figure, Period

ALL_SEXES = ("F", "M", "U")
CONDITION = "covid-19"


BEFORE: Final = "before"
AGAIN: Final = "again"
KINDS: Final = ("", BEFORE, AGAIN)


class Leaf(NamedTuple):
    """The finest there is: every test is in exactly one."""

    department: str
    day: date
    age: str
    sex: str
    positive: bool
    kind: str = ""
    """Empty: of a person who is eligible; `before`: of one who was positive before; `again`: a
    further test of a person of the time."""


Results = Counter[Leaf]
Sums = tuple[int, int, int, int, int, int]
"""As `FIELDS`."""
FIELDS: Final = (
    "tests", "persons", "eligible_persons", "positive_tests", "positive_persons", "cases",
)  # fmt: skip
Cell = tuple[str, str, str, str, str]
"""Area, period, label, age class, sex."""


def some_results(
    random: Random,
    departments: Mapping[str, float],
    days: Sequence[date],
    ages: Mapping[str, float],
    *,
    positivity: float = 0.15,
    unknown: float = 0.02,
    elsewhere: float | None = None,
    kinds: Sequence[float] = (1, 0, 0),
) -> Results:
    """Return results by leaf: of each department about so many a day, of ages by weight.

    Of `unknown` of them age or sex are unknown; of `elsewhere` (a quarter of it) the department.
    Kinds are by weight, too.
    """
    elsewhere = unknown / 4 if elsewhere is None else elsewhere
    found: Results = Counter()
    for department, mean in departments.items():
        for day in days:
            for _ in range(_about(random, mean)):
                age = random.choices(list(ages), list(ages.values()))[0]
                found[
                    Leaf(
                        "" if random.random() < elsewhere else department,
                        day,
                        "" if random.random() < unknown else age,
                        "U" if random.random() < unknown else random.choice(SEXES),
                        random.random() < positivity,
                        random.choices(KINDS, kinds)[0] if any(kinds[1:]) else "",
                    )
                ] += 1
    return found


def persons_in_windows(
    random: Random, results: Results, first: date, last: date, *, moving: float = 0.1
) -> Results:
    """Return the persons of the seven days that end on each day, as leaves of that day.

    They are not the sums of the days: who comes again is one person, and a few of those who do are
    counted where they were the second time.
    """
    found: Results = Counter()
    again = random.choice((0.1, 0.3, 0.6, 0.8))
    departments = sorted({leaf.department for leaf in results})
    for at in range((last - first).days + 1):
        ends = first + timedelta(days=at)
        for leaf, count in sorted(results.items()):
            if leaf.kind == AGAIN or not 0 <= (ends - leaf.day).days < 7:
                continue
            for _ in range(count):
                chance = random.random()
                if chance < again:
                    continue
                moved = random.choice(departments) if chance < again + moving else leaf.department
                found[leaf._replace(department=moved, day=ends)] += 1
    return found


def figures_of(
    results: Results, first: date, last: date, persons: Results | None = None
) -> list[Figure]:
    """Return the figures of every day, seven days and week that end within two days, as counted.

    Persons are as many as the tests, but in windows whose persons are given.
    """
    days: dict[Cell, list[int]] = {}
    for leaf, count in results.items():
        sums = sums_of(leaf, count)
        for cell in _cells(leaf):
            _add(days, cell, sums)
    windows: dict[Cell, list[int]] = {}
    for leaf, count in (persons or {}).items():
        sums = sums_of(leaf, count)
        for cell in window_cells(leaf):
            _add(windows, cell, sums)
    places = {area for area, *_ in days} | {area for area, *_ in windows} | {FRANCE}
    found = []
    for cell in grid(places, first, last):
        of_rows = days.get(cell, _NOTHING)
        of_persons = (
            of_rows if persons is None or cell[1] == Period.DAY else windows.get(cell, _NOTHING)
        )
        found.append(_figure(cell, of_rows, of_persons))
    return found


def grid(places: Iterable[str], first: date, last: date) -> list[Cell]:
    """Return every cell that there is a figure of."""
    return [
        (area, period, label, age, sex)
        for period, label in _times(first, last)
        for area in sorted(places)
        for age in (ALL_AGES, *AGE_CLASSES)
        for sex in ("", *SEXES)
    ]


_NOTHING: Final = [0] * len(FIELDS)


def sums_of(leaf: Leaf, count: int) -> Sums:
    """Return what so many of a leaf add to the counts of a figure."""
    person = count * (leaf.kind != AGAIN)
    eligible = count * (not leaf.kind)
    positive = leaf.positive
    return count, person, eligible, count * positive, person * positive, eligible * positive


def _add(cells: dict[Cell, list[int]], cell: Cell, sums: Sums) -> None:
    held = cells.get(cell)
    if held is None:
        cells[cell] = list(sums)
    else:
        for at, each in enumerate(sums):
            held[at] += each


def cell_of(figure: Figure) -> Cell:
    """Return area, period, label, age class and sex of a figure."""
    return figure.area, figure.period, figure.label, figure.age_class, figure.sex


def _figure(cell: Cell, of_rows: Sequence[int], of_persons: Sequence[int]) -> Figure:
    area, period, label, age, sex = cell
    return Figure(
        condition=CONDITION,
        area=area,
        period=period,
        label=label,
        age_class=age,
        sex=sex,
        tests=of_rows[0],
        persons=of_persons[1],
        eligible_persons=of_persons[2],
        positive_tests=of_rows[3],
        positive_persons=of_persons[4],
        cases=of_persons[5],
        screened=0,
    )


def _cells(leaf: Leaf) -> Iterable[Cell]:
    year, week, _ = leaf.day.isocalendar()
    times = [(Period.DAY.value, leaf.day.isoformat()), (Period.WEEK.value, f"{year}-S{week:02d}")]
    times += [
        (Period.SEVEN_DAYS.value, (leaf.day + timedelta(days=after)).isoformat())
        for after in range(7)
    ]
    return _cells_at(leaf, times)


def window_cells(leaf: Leaf) -> Iterable[Cell]:
    """Return the cells that a person of the seven days that end on the leaf's day is in."""
    times = [(Period.SEVEN_DAYS.value, leaf.day.isoformat())]
    if leaf.day.isoweekday() == 7:
        year, week, _ = leaf.day.isocalendar()
        times.append((Period.WEEK.value, f"{year}-S{week:02d}"))
    return _cells_at(leaf, times)


def _cells_at(leaf: Leaf, times: Sequence[tuple[str, str]]) -> Iterable[Cell]:
    areas = [FRANCE]
    if leaf.department:
        areas += [f"region:{region_of(leaf.department)}", f"department:{leaf.department}"]
    ages = [ALL_AGES, leaf.age] if leaf.age else [ALL_AGES]
    sexes = ["", leaf.sex] if leaf.sex != "U" else [""]
    for area in areas:
        for period, label in times:
            for age in ages:
                for sex in sexes:
                    yield area, period, label, age, sex


def _times(first: date, last: date) -> Iterable[tuple[str, str]]:
    for at in range((last - first).days + 1):
        day = first + timedelta(days=at)
        yield Period.DAY.value, day.isoformat()
        yield Period.SEVEN_DAYS.value, day.isoformat()
        if day.isoweekday() == 7:
            year, week, _ = day.isocalendar()
            yield Period.WEEK.value, f"{year}-S{week:02d}"


def _about(random: Random, mean: float) -> int:
    return max(0, round(random.gauss(mean, mean**0.5))) if mean > 0 else 0
