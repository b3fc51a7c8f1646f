"""What the protection of revisions costs: how many numbers are held, and how far off they are.

`python -m benchmarks.disclosure_held`. One simulated week of all departments, as in
benchmarks/disclosure.py; a tenth of the results comes after the week was told, all of it before the
revision. Of the numbers of departments by day that were told: the share that is held, and by how
much the held ones are short together. Writes results/disclosure.csv; asserts nothing.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from benchmarks.disclosure import AGES
from benchmarks.results import Row, append, load_average
from routing.disclosure import Policy, decide, protect
from routing.disclosure_revising import Change, hold, place_of
from schemas.areas import departments
from schemas.figures import Figure, Period
from tests.support.published import CONDITION, Results, cell_of, figures_of, some_results

_MONDAY: Final = date(2026, 3, 2)
_DAYS: Final = [_MONDAY + timedelta(days=at) for at in range(7)]
_LATE: Final = 0.1
_POLICY: Final = Policy(revision_days=(8,))
_COUNTS: Final = (
    "tests", "persons", "eligible_persons", "positive_tests", "positive_persons", "cases",
)  # fmt: skip
_PLACES: Final = (("department", "0"), ("department", "39"), ("region", "0"), ("region", "39"))


def main() -> None:
    """Measure some rates."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--tests", type=float, nargs="+", default=[300], help="a day and million inhabitants"
    )
    rows: list[Row] = []
    for rate in options.parse_args().tests:
        rows += _measured(rate)
    append("disclosure", rows, ())


def _measured(rate: float) -> list[Row]:
    random = Random(1)
    means = {code: each.population * rate / 1e6 for code, each in departments().items()}
    every = some_results(random, means, _DAYS, AGES)
    late = Results(
        {leaf: sum(random.random() < _LATE for _ in range(n)) for leaf, n in every.items()}
    )
    now = figures_of(every, _DAYS[0], _DAYS[-1])
    gained = _like(figures_of(late, _DAYS[0], _DAYS[-1]), now)
    nobody = _like([], now)
    old = _like(figures_of(every - late, _DAYS[0], _DAYS[-1]), now)
    on = _DAYS[-1] + timedelta(days=8)
    weeks = [figure for figure in old if figure.period == Period.WEEK]
    before = decide(old, _POLICY, on, None, weeks)
    shown, came = decide(now, _POLICY, on, before), decide(gained, _POLICY, on)
    block = (CONDITION, shown.block)
    last = protect(old, _POLICY, {block: before})
    change = Change(
        protect(gained, _POLICY, {block: came}), protect(nobody, _POLICY, {block: shown})
    )
    told = hold(
        protect(now, _POLICY, {block: shown}), {place_of(each): each for each in last}, change
    )
    about = {"tests": sum(every.values()), "late": _LATE, "load": load_average()}
    rows = []
    for level, age in (
        ("department", "0"),
        ("department", "39"),
        ("region", "0"),
        ("region", "39"),
    ):
        for field, flag in (("tests", "tests_held"), ("cases", "positives_held")):
            some = [
                (each, true)
                for each, true in zip(told, now, strict=True)
                if each.area.startswith(level)
                and (each.period, each.age_class, each.sex) == (Period.DAY, age, "")
                and getattr(each, field) is not None
            ]
            held = [(each, true) for each, true in some if flag in each.flags]
            true = sum(getattr(each, field) for _, each in held)
            short = true - sum(getattr(each, field) for each, _ in held)
            place = about | {"level": level, "age": age, "count": field}
            rows += [
                Row(
                    engine="none",
                    parameters=place,
                    figure=len(held) / max(1, len(some)),
                    unit="share of told numbers of a day that a revision holds",
                ),
                Row(
                    engine="none",
                    parameters=place,
                    figure=short / max(1, true),
                    unit="share of their results that held numbers are short of",
                ),
            ]
    for row in rows:
        print(f"{row.figure:.3g} {row.unit} {row.parameters}")
    return rows


def _like(figures: list[Figure], like: list[Figure]) -> list[Figure]:
    """Return figures of the same cells as others."""
    held = {cell_of(figure): figure for figure in figures}
    nothing: dict[str, Any] = dict.fromkeys(_COUNTS, 0)
    found = []
    for each in like:
        figure = held.get(cell_of(each))
        if figure is None:
            figure = Figure(
                condition=CONDITION, area=each.area, period=each.period, label=each.label,
                age_class=each.age_class, sex=each.sex, screened=0, **nothing,
            )  # fmt: skip
        found.append(figure)
    return found


if __name__ == "__main__":
    main()
