"""What disclosure control costs and takes away: one simulated week of all departments.

`python -m benchmarks.disclosure`. Processor time of `decide` (a condition's week) and of `protect`
(its figures), and the share of areas whose number is told. Ages as in docs/disclosure.md, 15 %
positive, 2 % of ages and sexes unknown. Writes results/disclosure.csv; asserts nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Final

from benchmarks.results import Row, append, load_average
from routing.disclosure import Policy, decide, protect
from schemas.areas import departments
from schemas.figures import AGE_CLASSES, Figure, Period
from tests.support.published import CONDITION, figures_of, some_results

_MONDAY: Final = date(2026, 3, 2)
_DAYS: Final = [_MONDAY + timedelta(days=at) for at in range(7)]
AGES: Final = dict(zip(AGE_CLASSES, (11, 12, 11, 12, 12, 13, 12, 9, 4, 1.3), strict=True))
_SHARES: Final = (
    ("department", Period.DAY, "0", ""),
    ("department", Period.DAY, "39", ""),
    ("department", Period.WEEK, "0", ""),
    ("region", Period.DAY, "39", ""),
    ("france", Period.DAY, "90", "F"),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--tests", type=float, nargs="+", default=[300, 1_500], help="a day and million inhabitants"
    )
    asked = options.parse_args()
    rows: list[Row] = []
    for rate in asked.tests:
        rows += _measured(rate)
    append("disclosure", rows, ())


def _measured(rate: float) -> list[Row]:
    means = {code: each.population * rate / 1e6 for code, each in departments().items()}
    results = some_results(Random(1), means, _DAYS, AGES)
    figures = figures_of(results, _DAYS[0], _DAYS[-1])
    weeks = [figure for figure in figures if figure.period == Period.WEEK]
    began = time.process_time()
    shown = decide(figures, Policy(), _DAYS[-1] + timedelta(days=9), None, weeks)
    decided = time.process_time()
    told = protect(figures, Policy(), {(CONDITION, shown.block): shown})
    ended = time.process_time()
    about = {"tests": sum(results.values()), "clock": "cpu", "load": load_average()}
    rows = [
        Row(
            engine="none",
            parameters=about,
            figure=decided - began,
            unit="s of CPU to decide a condition's week of the whole of France",
        ),
        Row(
            engine="none",
            parameters=about,
            figure=len(figures) / (ended - decided),
            unit="figures protected per second of CPU",
        ),
    ]
    for level, period, age, sex in _SHARES:
        some = [
            figure
            for figure in told
            if figure.area.startswith(level)
            and (figure.period, figure.age_class, figure.sex) == (period, age, sex)
        ]
        for field in ("tests", "cases"):
            row = Row(
                engine="none",
                parameters=about | {"level": level, "period": period.value, "age": age, "sex": sex},
                figure=_share(some, field),
                unit=f"share of areas whose {field} are told",
            )
            rows.append(row)
    for row in rows:
        print(f"{row.figure:.3g} {row.unit} {row.parameters}")
    return rows


def _share(figures: Sequence[Figure], field: str) -> float:
    return sum(getattr(figure, field) is not None for figure in figures) / len(figures)


if __name__ == "__main__":
    main()
