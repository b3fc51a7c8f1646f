"""From cells to the table of a time: every area, age class and sex of a condition. Pure.

A table is made whole, from the same cells, so that disclosure control sees all margins at once.
Sums of persons over ages, sexes and areas are of distinct persons; over days only tests are added
(routing/indicator_cells.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

import msgspec

from routing.indicator_cells import MEASURES, Measure, week_of
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES, VARIANT_MARKS, Figure, Period

Sums = list[int]
"""By `Measure`."""
Stratum = tuple[str, str]
"""Age class (`0`: all) and sex (empty: all)."""
OfArea = dict[Stratum, Sums]
PopulationOf = Callable[[str, str, str], int | None]
"""Area, age class, sex."""

STRATA: Final = tuple((age, sex) for age in (ALL_AGES, *AGE_CLASSES) for sex in ("", *SEXES))
LEVELS: Final = ("france", "region", "department")
WINDOW: Final = 7


class Columns(NamedTuple):
    """Which measures the counts of a figure are."""

    tests: Measure
    positive_tests: Measure
    persons: Measure
    positive_persons: Measure
    eligible_persons: Measure
    cases: Measure


ON_THE_DAY: Final = Columns(
    Measure.TESTS,
    Measure.POSITIVE_TESTS,
    Measure.PERSONS,
    Measure.POSITIVE_PERSONS,
    Measure.ELIGIBLE_PERSONS,
    Measure.CASES,
)
IN_SEVEN_DAYS: Final = Columns(
    Measure.TESTS,
    Measure.POSITIVE_TESTS,
    Measure.PERSONS_7,
    Measure.POSITIVE_PERSONS_7,
    Measure.ELIGIBLE_PERSONS_7,
    Measure.CASES_7,
)
_MARKS: Final = tuple(Measure[mark] for mark in VARIANT_MARKS)
OF_ROWS: Final = (Measure.TESTS, Measure.POSITIVE_TESTS, Measure.SCREENED, *_MARKS)
"""What is added over the days of a window."""


def area_sums(cells: Mapping[str, Mapping[str, Iterable[int]]]) -> dict[str, OfArea]:
    """Return the sums of each department, of its ages and sexes and all of them.

    Args:
        cells: Department -> age class and sex (`29F`) -> counts by `Measure`.
    """
    return {department: _strata(each) for department, each in cells.items()}


def with_margins(
    departments: Mapping[str, OfArea], region_of: Callable[[str], str]
) -> dict[str, OfArea]:
    """Return the sums of France, the regions and the departments, by area.

    Those whose department is unknown, or is none of ours, are in France alone.
    """
    areas: dict[str, OfArea] = {FRANCE: {}}
    for department, sums in departments.items():
        _add_area(areas[FRANCE], sums)
        region = region_of(department) if department else ""
        if region:
            areas[f"department:{department}"] = sums
            _add_area(areas.setdefault(f"region:{region}", {}), sums)
    return areas


def over_days(
    last: Mapping[str, OfArea], before: Iterable[Mapping[str, OfArea]]
) -> dict[str, OfArea]:
    """Return the sums of the seven days that end on a day.

    What counts rows is added over the days; persons are those of the last day's window.
    """
    found = {
        area: {stratum: list(sums) for stratum, sums in each.items()} for area, each in last.items()
    }
    for day in before:
        for area, strata in day.items():
            of_area = found.setdefault(area, {})
            for stratum, sums in strata.items():
                held = of_area.get(stratum)
                if held is None:
                    held = of_area[stratum] = [0] * MEASURES
                for measure in OF_ROWS:
                    held[measure] += sums[measure]
    return found


def figures_of(
    areas: Mapping[str, OfArea],
    condition: str,
    period: Period,
    day: int,
    population_of: PopulationOf,
) -> list[Figure]:
    """Return the figures of a time, those that count nothing too; rates come after protection."""
    columns = ON_THE_DAY if period in {Period.DAY, Period.MONTH} else IN_SEVEN_DAYS
    label = label_of(period, day)
    nothing = [0] * MEASURES
    found = []
    for area in sorted(areas):
        strata = areas[area]
        for age_class, sex in STRATA:
            sums = strata.get((age_class, sex), nothing)
            found.append(
                Figure(
                    condition=condition,
                    area=area,
                    period=period.value,
                    label=label,
                    age_class=age_class,
                    sex=sex,
                    tests=sums[columns.tests],
                    positive_tests=sums[columns.positive_tests],
                    persons=sums[columns.persons],
                    positive_persons=sums[columns.positive_persons],
                    eligible_persons=sums[columns.eligible_persons],
                    cases=sums[columns.cases],
                    screened=sums[Measure.SCREENED],
                    variants=tuple(sums[mark] for mark in _MARKS) if sums[Measure.SCREENED] else (),
                    population=population_of(area, age_class, sex),
                )
            )
    return found


def with_rates(figure: Figure) -> Figure:
    """Return a figure with the rates that follow from what it tells, and from nothing else."""
    return msgspec.structs.replace(
        figure,
        incidence=_per(figure.cases, figure.population, 100_000),
        positivity=_per(figure.cases, figure.eligible_persons, 100),
        screening=_per(figure.eligible_persons, figure.population, 100_000),
    )


def label_of(period: str, day: int) -> str:
    """Return the label of the time that ends on a day (of a month: that begins on it)."""
    if period == Period.WEEK:
        return week_of(day)
    text = date.fromordinal(day).isoformat()
    return text[:7] if period == Period.MONTH else text


def level_of(area: str) -> str:
    """Return the level of an area: france, region, department."""
    return area.partition(":")[0]


def _strata(cells: Mapping[str, Iterable[int]]) -> OfArea:
    found: OfArea = {}
    for name, counts in cells.items():
        age, sex = name[:-1], name[-1]
        for each_age in (ALL_AGES, age) if age else (ALL_AGES,):
            for each_sex in ("", sex) if sex in SEXES else ("",):
                held = found.get((each_age, each_sex))
                if held is None:
                    held = found[each_age, each_sex] = [0] * MEASURES
                for place, count in enumerate(counts):
                    held[place] += count
    return found


def _add_area(to: OfArea, sums: OfArea) -> None:
    for stratum, counts in sums.items():
        held = to.get(stratum)
        to[stratum] = (
            list(counts)
            if held is None
            else [one + other for one, other in zip(held, counts, strict=True)]
        )


def _per(count: int | None, of: int | None, base: int) -> float | None:
    if count is None or not of:
        return None
    return round(base * count / of, 2)
