"""How good the completeness of areas is: France's, moved by how the area's delays differ from it.

`python -m benchmarks.nowcast_areas`. As benchmarks/nowcast.py: days are made with all that ever
comes of them, an area beside a France that is 100 times as large; the estimate sees what had come
by an evening, and of the area its count and the delays that were told of past weeks. Writes
results/nowcast.csv; asserts nothing.
"""

from __future__ import annotations

import argparse
from datetime import date
from typing import Final

import msgspec
import numpy as np

from benchmarks.nowcast import Made, Scenario, make, seen
from benchmarks.results import Row, append
from ops.indicators.completing import shares_of
from ops.indicators.completing_areas import odds_of, with_area_completeness
from ops.indicators.packing import Packed
from routing.delays import BINS, DELAYS
from schemas.figures import FRANCE, DelayClass, DelayFigure, Figure

FIRST: Final = date(2025, 12, 1).toordinal()
"""So that its last days are free of public holidays."""
HORIZONS: Final = (1, 2, 3, 5, 7)
AREA: Final = "department:01"
_CONDITION: Final = "sars-cov-2"
_LEVEL: Final = 2
"""Told 0, 1, 2, 3, and 4 days and later: as most departments tell."""


class AreaScenario(msgspec.Struct, frozen=True, kw_only=True):
    """An area beside France."""

    name: str
    level: float
    """Its tests a Monday."""
    delayed: float
    """Its median delay; France's is one day."""
    uneven: float = 0.2
    """How far its days differ."""


SCENARIOS: Final = (
    AreaScenario(name="alike", level=200, delayed=1.0),
    AreaScenario(name="slower", level=200, delayed=1.4),
    AreaScenario(name="faster", level=200, delayed=0.75),
    AreaScenario(name="small and slower", level=60, delayed=1.4),
    AreaScenario(name="region, slower", level=2_000, delayed=1.4),
)


def told(made: Made, sunday: int, area: str) -> DelayFigure:
    """Return what was told of a week: complete, in classes."""
    last = sunday - FIRST
    week = [int(n) for n in made.counts[last - 6 : last + 1].sum(axis=0)]
    week += [0] * (BINS - len(week))
    classes = tuple(
        DelayClass(
            first=some[0],
            last=None if some[-1] > 21 else some[-1],
            unknown=False,
            tests=sum(week[each] for each in some),
        )
        for some in DELAYS.levels[_LEVEL][:-1]
    )
    return DelayFigure(
        condition=_CONDITION, area=area, period="week", label="", tests=sum(week), classes=classes
    )


def evaluate(scenario: AreaScenario, evenings: int) -> dict[int, tuple[int, float, float, float]]:
    """Return by horizon: estimates, share in the interval, bias, bias with France's share alone."""
    found = {}
    notes: dict[int, list[tuple[float, float, float, bool]]] = {each: [] for each in HORIZONS}
    for number in range(evenings):
        rng = np.random.default_rng([2026, 9, number, *scenario.name.encode()])
        around = Scenario(name="", what="", uneven=0.02)
        own = Scenario(name="", what="", uneven=scenario.uneven, delayed=scenario.delayed)
        france = make(around, 20_000, rng, number % 7)
        area = make(own, scenario.level, rng, number % 7)
        today = FIRST + france.last + 1
        shares = shares_of(
            {day: [Packed(delays=list(counts))] for day, counts in seen(france, FIRST).items()},
            today,
        )
        sunday = (today - 22) - (today - 22) % 7
        odds = odds_of(
            [told(france, sunday - back, FRANCE), told(area, sunday - back, AREA)]
            for back in range(0, 56, 7)
        )
        for horizon in HORIZONS:
            day = today - horizon
            row = area.counts[area.last - horizon + 1]
            come, true = int(row[:horizon].sum()), int(row.sum())
            figure = Figure(condition=_CONDITION, area=AREA, period="day", label="", tests=come)
            figure = with_area_completeness(figure, shares, odds, today, day)
            usual = shares["day"][day][0]
            if figure.completeness is None or usual is None or not true:
                continue
            assert figure.completeness_low is not None
            assert figure.completeness_high is not None
            inside = figure.completeness_low <= come / true <= figure.completeness_high
            notes[horizon].append((come / figure.completeness, come / usual, true, inside))
    for horizon, every in notes.items():
        if every:
            whole = sum(true for _, _, true, _ in every)
            found[horizon] = (
                len(every),
                sum(inside for *_, inside in every) / len(every),
                sum(each for each, *_ in every) / whole - 1,
                sum(each for _, each, *_ in every) / whole - 1,
            )
    return found


def main() -> None:
    """Measure, print, and append to results/nowcast.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evenings", type=int, default=280, help="of each scenario")
    evenings = parser.parse_args().evenings
    rows = []
    for scenario in SCENARIOS:
        for horizon, (count, inside, bias, alone) in evaluate(scenario, evenings).items():
            print(
                f"{scenario.name:18s} {horizon} days before: {inside:.0%} in the 95 % interval,"
                f" bias {bias:+.1%}, with France's share {alone:+.1%} ({count} of {evenings})"
            )
            rows.append(
                Row(
                    engine="none",
                    parameters={
                        "scenario": f"area_{scenario.name}".replace(" ", "_").replace(",", ""),
                        "after": str(horizon),
                        "evenings": evenings,
                        "estimated": count,
                        "bias": round(bias, 4),
                        "bias_by_france": round(alone, 4),
                    },
                    figure=inside,
                    unit="share of true values in the 95 % interval",
                )
            )
    append("nowcast", rows, ("numpy",))


if __name__ == "__main__":
    main()
