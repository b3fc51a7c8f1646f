"""What two extractions give away of what came between them, by how far apart they are.

`python -m benchmarks.disclosure_revisions`. Simulated: the results of one day of sampling, of which
a tenth comes after the second day, those after four more days on average. Counted is every change
of a number from the second day on until nothing comes any more: how many of all changes are of 1 to
4 results, and how many there are a day of sampling. Disclosure control leaves some of these numbers
out, so this is the most. Writes results/disclosure.csv; asserts nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.results import Row, append, load_average
from schemas.areas import departments
from schemas.figures import AGE_CLASSES

_RATE: Final = 1_500
"""Tests a day and million inhabitants."""
_LATE: Final = 0.1
_MEAN_DAYS: Final = 4.0
_THRESHOLD: Final = 5
_AGES: Final = (11, 12, 11, 12, 12, 13, 12, 9, 4, 1.3)
_EVERY_DAYS: Final = (0.25, 1.0, 7.0, 14.0)


def main() -> None:
    """Measure each distance."""
    rows = []
    for every in _EVERY_DAYS:
        for level in ("department", "department and age"):
            changes, few = _changes(np.random.default_rng(1), every, by_age="age" in level)
            about = {"every_days": every, "level": level, "days": 1, "load": load_average()}
            rows += [
                Row(
                    engine="none",
                    parameters=about,
                    figure=few / changes,
                    unit="share of changes of a told number that are of 1 to 4 results",
                ),
                Row(
                    engine="none",
                    parameters=about,
                    figure=few,
                    unit="changes of 1 to 4 results, a day of sampling",
                ),
            ]
    for row in rows:
        print(f"{row.figure:.3g} {row.unit} {row.parameters}")
    append("disclosure", rows, ())


def _changes(random: np.random.Generator, every: float, *, by_age: bool) -> tuple[int, int]:
    weights = np.array(_AGES if by_age else (sum(_AGES),)) / sum(_AGES)
    assert len(_AGES) == len(AGE_CLASSES)
    changes = few = 0
    for each in departments().values():
        for late in random.poisson(each.population * _RATE / 1e6 * _LATE * weights):
            at = np.floor(random.exponential(_MEAN_DAYS, late) / every).astype(np.int64)
            _, gained = np.unique(at, return_counts=True)
            changes += len(gained)
            few += int((gained < _THRESHOLD).sum())
    return changes, few


if __name__ == "__main__":
    main()
