"""Write `docs/pictures/*.svg`: `python -m tests.support.make_pictures`. All of it is simulated.

An invented wave by day, age and department; how late each test comes is drawn by lot, what had
come by an evening is shown, and the nowcast says how much that is. No instance is asked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from math import exp
from pathlib import Path
from typing import Final

from ops.plotting.about import About, Measure
from ops.plotting.departments import geometry
from ops.plotting.drawing import Form
from ops.plotting.picture import Kind, picture, write
from routing.nowcast import estimate, learn
from schemas.figures import AGE_CLASSES, FRANCE, Extraction, Figure, Flag, Period

OUT: Final = Path(__file__).parents[2] / "docs" / "pictures"
THROUGH: Final = date(2026, 3, 5).toordinal()
_DAYS: Final = 150
_SHOWN: Final = 70
_CONDITION: Final = "sars-cov-2"
_OFTEN: Final = (1.0, 0.95, 0.9, 0.9, 1.0, 0.55, 0.2)
_LATE: Final = (0.30, 0.34, 0.18, 0.09, 0.05, 0.02, 0.01, 0.01)
_RATES: Final = (240, 520, 610, 480, 400, 330, 260, 210, 260, 340)
"""New cases per 100,000 at the peak of each age class."""
_NOTE: Final = "SIMULATED: an invented epidemic, no real person's result."
ABOUT: Final = About(
    measure=Measure.CASES,
    extraction=Extraction(number=412, at=datetime(2026, 3, 6, 8, tzinfo=UTC)),
    note=_NOTE,
)
RATES: Final = About(measure=Measure.INCIDENCE, extraction=ABOUT.extraction, note=_NOTE)


def main() -> None:
    """Draw all three."""
    OUT.mkdir(exist_ok=True)
    whole = curve_figures()
    write(OUT / "indicators-curve.svg", picture(Kind.CURVE, whole, ABOUT, Form.SVG))
    write(OUT / "indicators-ages.svg", picture(Kind.AGES, age_figures(), RATES, Form.SVG))
    write(OUT / "indicators-map.svg", picture(Kind.MAP, map_figures(), RATES, Form.SVG))


def curve_figures() -> list[Figure]:
    """Return France by day, with the completeness of the last ones."""
    lots = random.Random(412)
    triangle = {}
    for day in range(THROUGH - _DAYS, THROUGH + 1):
        tests = _wave(day) * lots.uniform(0.95, 1.05)
        counts = [round(tests * share * lots.uniform(0.85, 1.15)) for share in _shares(day)]
        triangle[day] = counts[: THROUGH - day + 1]
    learned = learn(triangle, THROUGH)
    figures = []
    for day in range(THROUGH - _SHOWN, THROUGH + 1):
        answer = estimate(learned, triangle, day)
        low, high = answer.share_95 or (None, None)
        figures.append(
            Figure(
                condition=_CONDITION,
                area=FRANCE,
                period=Period.DAY,
                label=date.fromordinal(day).isoformat(),
                tests=answer.reported,
                cases=round(answer.reported * 0.12),
                completeness=answer.share,
                completeness_low=low,
                completeness_high=high,
                flags=(Flag.INCOMPLETE,) if (answer.share or 0) < 0.95 else (),
            )
        )
    return figures


def age_figures() -> list[Figure]:
    """Return France by week and age: the young first, the old a fortnight later."""
    lots = random.Random(90)
    figures = []
    monday = THROUGH - (THROUGH - 1) % 7
    for week in range(monday - 7 * 15, monday + 1, 7):
        year, number, _ = date.fromordinal(week).isocalendar()
        for place, (age, rate_at_peak) in enumerate(zip(AGE_CLASSES, _RATES, strict=True)):
            height = exp(-(((week - THROUGH + 20 - 3 * place) / 24) ** 2))
            rate = rate_at_peak * (0.06 + height) * lots.uniform(0.93, 1.07)
            is_few = age == "90" and rate < 45
            share = 0.55 if week == monday else 1.0
            figures.append(
                Figure(
                    condition=_CONDITION,
                    area=FRANCE,
                    period=Period.WEEK,
                    label=f"{year}-S{number:02d}",
                    age_class=age,
                    incidence=None if is_few else round(rate * share, 1),
                    completeness=share,
                    flags=(Flag.SYNTHETIC_POPULATION, *((Flag.SUPPRESSED,) if is_few else ())),
                )
            )
    return figures


def map_figures() -> list[Figure]:
    """Return the departments on one day: a wave that came from the north-east."""
    lots = random.Random(75)
    figures = []
    for code in sorted(geometry().departments):
        x, y = _middle(geometry().rings(code))
        rate = 380 * exp(-(((x - 880) / 420) ** 2) - ((y + 260) / 420) ** 2) + lots.uniform(4, 40)
        is_few = code in {"48", "23", "2A"}
        figures.append(
            Figure(
                condition=_CONDITION,
                area=f"department:{code}",
                period=Period.SEVEN_DAYS,
                label="2026-02-28",
                incidence=None if is_few else round(rate, 1),
                completeness=0.99,
                flags=(Flag.SYNTHETIC_POPULATION, *((Flag.SUPPRESSED,) if is_few else ())),
            )
        )
    return figures


def _wave(day: int) -> float:
    return (9_000 + 52_000 * exp(-(((day - THROUGH + 12) / 26) ** 2))) * _OFTEN[(day - 1) % 7]


def _shares(day: int) -> Sequence[float]:
    """Return how tests come in: nothing on Sundays, what is due comes on Monday."""
    shares: Mapping[int, float] = dict(enumerate(_LATE))
    moved = [shares.get(delay, 0.0) for delay in range(len(_LATE) + 1)]
    for delay in range(len(_LATE)):
        if (day + delay - 1) % 7 == 6:
            moved[delay + 1] += moved[delay]
            moved[delay] = 0.0
    return moved


def _middle(rings: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    points = [point for ring in rings for point in ring]
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


if __name__ == "__main__":
    main()
