"""Inhabitants by area, age class and sex: an operator's file, or a synthetic default. Pure.

INSEE's age structure is in no package that could be vendored. So the default spreads the true
populations of departments over ages and sexes by one made-up structure, and says so in `synthetic`:
whoever shows a rate of it must show that too (`Flag.SYNTHETIC_POPULATION`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES

from . import (
    area_of_department,
    area_of_region,
    code_of,
    department_of_commune,
    departments,
    inhabitants_of,
    is_commune,
)

SYNTHETIC: Final = (
    "synthetic: true totals of departments, one made-up age structure for all of them; set "
    "LABDISPATCH_POPULATION_FILE for rates by age"
)
HEADER: Final = "department;age_class;sex;population"
_MOST: Final = 20_000_000
"""Inhabitants of an age class and sex of one department: more is a mistake in the file."""
_LONGEST: Final = 20_000
"""Lines of a file: 110 departments, 10 ages and 2 sexes take 2,200."""
# Of 100,000 inhabitants, by AGE_CLASSES; of 1,000 of an age, how many are women. Made up: the
# shape of a European population, rounded, of no country and no census.
_PER_100_000: Final = (11_000, 12_500, 11_500, 12_300, 12_700, 13_100, 12_000, 9_400, 4_200, 1_300)
_WOMEN_PER_1_000: Final = (490, 490, 495, 510, 505, 510, 525, 545, 610, 720)

Cell = tuple[str, str, str]
"""Department, age class, sex."""


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """Inhabitants by area, age class (`0`: all) and sex (empty: all)."""

    counts: dict[Cell, int]
    """By area of figures (`france`, `region:84`, `department:75`), age class and sex."""
    synthetic: bool
    source: str
    """Where it is from, in words for whoever reads a rate."""

    def of(self, area: str, age_class: str = ALL_AGES, sex: str = "") -> int | None:
        """Return the inhabitants; None where nothing is known of the area, or nobody lives there.

        A rate of nobody is not zero: it is none. Of a commune (`commune:75107`) all inhabitants are
        counted; ages and sexes are those of its department, in proportion: an estimate.
        """
        if is_commune(area):
            return self._of_commune(area, age_class, sex) or None
        return self.counts.get((area, age_class, sex)) or None

    def _of_commune(self, area: str, age_class: str, sex: str) -> int:
        inhabitants = inhabitants_of(area)
        if (age_class, sex) == (ALL_AGES, ""):
            return inhabitants
        department = area_of_department(department_of_commune(code_of(area)))
        everybody = self.counts.get((department, ALL_AGES, ""), 0)
        some = self.counts.get((department, age_class, sex), 0)
        return (2 * inhabitants * some + everybody) // (2 * everybody) if everybody else 0


def synthetic_population() -> Population:
    """Return the default: true totals of departments, made-up ages and sexes."""
    cells: dict[Cell, int] = {}
    for department in departments().values():
        by_age = _shared(department.population, _PER_100_000)
        for age_class, inhabitants, women in zip(
            AGE_CLASSES, by_age, _WOMEN_PER_1_000, strict=True
        ):
            female = inhabitants * women // 1_000
            cells[department.code, age_class, "F"] = female
            cells[department.code, age_class, "M"] = inhabitants - female
    return Population(counts=with_margins(cells), synthetic=True, source=SYNTHETIC)


def read_population(lines: Iterable[str], source: str) -> Population:
    """Return the population of an operator's file.

    The first line is `department;age_class;sex;population`; then one line for each department, age
    class (09, 19, ... 89, 90) and sex (F, M), each exactly once for every department that is named.

    Raises:
        PermanentError: `population_file_invalid`, with the line and what it should hold.
    """
    numbered = ((number, line.strip("\ufeff\r\n ")) for number, line in enumerate(lines, 1))
    if next(numbered, (1, ""))[1] != HEADER:
        raise _invalid(1, f"the first line is `{HEADER}`")
    cells = dict(_cells(numbered))
    for department in {cell[0] for cell in cells}:
        for age_class in AGE_CLASSES:
            for sex in SEXES:
                if (department, age_class, sex) not in cells:
                    raise PermanentError(
                        "population_file_invalid",
                        f"department {department} has no line for age {age_class} and sex {sex}",
                    )
    if not cells:
        raise _invalid(2, "at least one department")
    return Population(counts=with_margins(cells), synthetic=False, source=source)


def with_margins(cells: dict[Cell, int]) -> dict[Cell, int]:
    """Return the sums over ages, sexes, regions and France, under areas of figures."""
    sums: Counter[Cell] = Counter()
    for (department, age_class, sex), inhabitants in cells.items():
        region = departments()[department].region
        for area in (FRANCE, area_of_region(region), area_of_department(department)):
            for each_age in (age_class, ALL_AGES):
                for each_sex in (sex, ""):
                    sums[area, each_age, each_sex] += inhabitants
    return dict(sums)


def _cells(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[Cell, int]]:
    seen: set[Cell] = set()
    for number, line in numbered:
        if number > _LONGEST:
            raise _invalid(number, f"a file has at most {_LONGEST} lines")
        if not line:
            continue
        parts = line.split(";")
        if len(parts) != 4:
            raise _invalid(number, f"four fields: {HEADER}")
        department, age_class, sex, inhabitants = (part.strip() for part in parts)
        if department not in departments():
            raise _invalid(number, "a department's code: 01, 2A, 974")
        if age_class not in AGE_CLASSES:
            raise _invalid(number, f"an age class: {', '.join(AGE_CLASSES)}")
        if sex not in SEXES:
            raise _invalid(number, "a sex: F, M")
        if not (inhabitants.isascii() and inhabitants.isdecimal() and len(inhabitants) <= 8):
            raise _invalid(number, "a whole number of inhabitants")
        if int(inhabitants) > _MOST:
            raise _invalid(number, f"at most {_MOST} inhabitants")
        cell = (department, age_class, sex)
        if cell in seen:
            raise _invalid(number, "each department, age class and sex once: this is the second")
        seen.add(cell)
        yield cell, int(inhabitants)


def _invalid(line: int, should: str) -> PermanentError:
    return PermanentError("population_file_invalid", f"line {line} should hold {should}")


def _shared(total: int, weights: tuple[int, ...]) -> list[int]:
    """Return whole parts of a total that add up to it (largest remainders; earlier ages first)."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts
