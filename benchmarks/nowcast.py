"""How good the completeness of the last days is: coverage and bias on simulated delays.

`python -m benchmarks.nowcast`. Each scenario makes days of tests and how late each came, shows the
estimate only what had come by an evening, and compares with what came in the end. Evenings fall on
every day of the week. Writes results/nowcast.csv and docs/nowcast-measured.md; asserts nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import erf
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.results import Row, append, load_average
from routing.nowcast import (
    DEFAULT,
    Completeness,
    Learned,
    Triangle,
    estimate,
    estimate_over,
    learn,
)

PAGE: Final = Path(__file__).parents[1] / "docs" / "nowcast-measured.md"
HORIZONS: Final = (0, 1, 2, 3, 5, 7, 10)
_DAYS: Final = 120
_FIRST: Final = datetime(2026, 1, 5, tzinfo=UTC).toordinal()
_OFTEN: Final = np.array([1.0, 0.95, 0.9, 0.9, 1.0, 0.6, 0.25])
"""Tests taken by day of the week, Monday first."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How many tests, how late, and what goes wrong."""

    name: str
    what: str
    level: float = 1_000.0
    """Tests taken on a Monday; where they grow or fall, on the last day."""
    growth: float = 0.0
    """Doublings a week."""
    weekends: bool = True
    """Fewer tests at weekends; nothing is sent on Sundays, a third of what is due on Saturdays."""
    uneven: float = 0.0
    """Relative standard deviation of a day's level; delays of a day vary as much."""
    delayed: float = 1.0
    """Median delay in days."""
    slower: float = 0.0
    """The median delay grows by so many days over the last 14."""
    down: Sequence[int] = ()
    """Days before the last on which nothing was received; it all comes on the next."""
    closed: Sequence[int] = ()
    """Public holidays, days before the last: like Sundays."""
    known: bool = False
    """The calendar tells the method of them."""
    larger: float = 0.0
    """The level of the area around it, whose delays are alike; 0: it stands alone."""
    holds: bool = True
    """The method's own assumptions hold; else it is a stress, and coverage is what it is."""


SCENARIOS: Final = (
    Scenario(name="plain", what="1,000 tests a day, every day alike", weekends=False),
    Scenario(name="weekends", what="1,000 a day, closed on Sundays"),
    Scenario(
        name="growing",
        what="1,000 a day in the end, doubling each week, closed on Sundays",
        growth=1.0,
    ),
    Scenario(
        name="falling",
        what="1,000 a day in the end, halving each week, closed on Sundays",
        growth=-1.0,
    ),
    Scenario(
        name="national",
        what="300,000 a day, closed on Sundays, days uneven by 5 %",
        level=3e5,
        uneven=0.05,
    ),
    Scenario(name="uneven", what="1,000 a day, closed on Sundays, days uneven by 20 %", uneven=0.2),
    Scenario(name="slow", what="100 a day, half come after four days", level=100, delayed=4.0),
    Scenario(name="small", what="20 a day, alone", level=20),
    Scenario(name="department", what="5 a day, France's delays known", level=5, larger=5_000),
    Scenario(
        name="drifting",
        what="1,000 a day, closed on Sundays; delays grow from 1 to 1.25 days in two weeks",
        slower=0.25,
        holds=False,
    ),
    Scenario(
        name="slowing",
        what="1,000 a day; delays grow from 1 to 2 days in two weeks",
        slower=1.0,
        holds=False,
    ),
    Scenario(
        name="outage",
        what="1,000 a day; nothing received for two days a week ago",
        down=(7, 8),
    ),
    Scenario(
        name="holiday",
        what="1,000 a day; a public holiday the day before yesterday",
        closed=(2,),
        holds=False,
    ),
    Scenario(
        name="calendar",
        what="the same, and the calendar tells of it",
        closed=(2,),
        known=True,
    ),
)


class Made(NamedTuple):
    """What was made: counts by day and delay, complete, and the last day."""

    counts: np.ndarray
    """(days, delays + 1)."""
    last: int
    """Index of the last day of reception."""


def make(scenario: Scenario, level: float, rng: np.random.Generator, weekday: int) -> Made:
    """Make days whose last falls on `weekday`, with all that ever came of them."""
    delays = DEFAULT.delays
    total = _DAYS + delays
    last = _DAYS - 7 + weekday
    counts = np.zeros((total, delays + 1), dtype=np.int64)
    for day in range(total):
        mean = level * 2.0 ** (scenario.growth * (day - last) / 7)
        if scenario.weekends:
            mean *= _OFTEN[_weekday(day, last, scenario)]
        if scenario.uneven:
            mean *= rng.gamma(1 / scenario.uneven**2, scenario.uneven**2)
        shares = _shares(scenario, day, last, rng)
        counts[day] = rng.multinomial(rng.poisson(mean), shares)
    return Made(counts, last)


def _weekday(day: int, last: int, scenario: Scenario) -> int:
    return 6 if last - day in scenario.closed else day % 7


def _shares(scenario: Scenario, day: int, last: int, rng: np.random.Generator) -> np.ndarray:
    """Return how a day's tests spread over delays: log-normal, then what doors are closed."""
    delays = DEFAULT.delays
    ramp = min(1.0, max(0.0, (day - last + 14) / 14))
    median = scenario.delayed + scenario.slower * ramp
    edges = np.log(np.arange(1, delays + 2) + 1e-9)
    cumulative = np.array([_normal((edge - np.log(median)) / 0.7) for edge in edges])
    shares: np.ndarray = np.diff(cumulative, prepend=0.0)
    shares /= shares.sum()
    if scenario.uneven:
        sure = 1 / scenario.uneven**2 * 4
        shares = rng.dirichlet(np.maximum(shares * sure, 1e-6))
    for delay in range(delays):
        received = day + delay
        kept = 1.0
        weekday = _weekday(received, last, scenario) if scenario.weekends else 0
        if last - received in scenario.down or weekday == 6:
            kept = 0.0
        elif weekday == 5:
            kept = 1 / 3
        shares[delay + 1] += shares[delay] * (1 - kept)
        shares[delay] *= kept
    return np.asarray(shares / shares.sum())


def _normal(z: float) -> float:
    return 0.5 * (1 + erf(z / 2**0.5))


def seen(made: Made, first: int = _FIRST) -> Triangle:
    """Return what had come by the evening of the last day."""
    triangle = {}
    for day in range(made.last + 1):
        row = made.counts[day, : made.last - day + 1]
        triangle[first + day] = tuple(int(n) for n in row)
    return triangle


class Score(msgspec.Struct):
    """What came of many estimates of one horizon."""

    tried: int = 0
    said: int = 0
    in_80: int = 0
    in_95: int = 0
    expected: float = 0.0
    reported: float = 0.0
    true: float = 0.0
    widths: list[float] = msgspec.field(default_factory=list)

    def note(self, answer: Completeness, true: int) -> None:
        """Add one."""
        self.tried += 1
        if answer.expected is None or true == 0:
            return
        share = answer.reported / true
        assert answer.share_80 is not None
        assert answer.share_95 is not None
        self.said += 1
        self.in_80 += answer.share_80.low - _SLACK <= share <= answer.share_80.high + _SLACK
        self.in_95 += answer.share_95.low - _SLACK <= share <= answer.share_95.high + _SLACK
        self.expected += answer.expected
        self.reported += answer.reported
        self.true += true
        self.widths.append(answer.share_95.high - answer.share_95.low)

    @property
    def bias(self) -> float:
        """Expected over true, less one, all evenings together."""
        return self.expected / self.true - 1

    @property
    def unread(self) -> float:
        """The bias of who takes what has come for all there is."""
        return self.reported / self.true - 1


_SLACK: Final = 1e-12


def evaluate(scenario: Scenario, evenings: int) -> Mapping[str, Score]:
    """Return the scores by horizon, and of the last seven days together."""
    scores = {str(horizon): Score() for horizon in HORIZONS} | {"7 days": Score()}
    for number in range(evenings):
        rng = np.random.default_rng([2026, number, *scenario.name.encode()])
        larger: Learned | None = None
        if scenario.larger:
            around = make(scenario, scenario.larger, rng, number % 7)
            larger = learn(seen(around), _FIRST + around.last)
        made = make(scenario, scenario.level, rng, number % 7)
        triangle, through = seen(made), _FIRST + made.last
        holidays = frozenset(through - ago for ago in scenario.closed if scenario.known)
        learned = learn(triangle, through, larger, holidays=holidays)
        for horizon in HORIZONS:
            true = int(made.counts[made.last - horizon].sum())
            scores[str(horizon)].note(estimate(learned, triangle, through - horizon), true)
        week = range(through - 6, through + 1)
        true = int(made.counts[made.last - 6 : made.last + 1].sum())
        scores["7 days"].note(estimate_over(learned, triangle, week), true)
    return scores


def main() -> None:
    """Measure, write the page, and append to results/nowcast.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evenings", type=int, default=700, help="of each scenario")
    evenings = parser.parse_args().evenings
    rows: list[Row] = []
    parts: list[str] = []
    for scenario in SCENARIOS:
        scores = evaluate(scenario, evenings)
        parts.append(_table(scenario, scores))
        print(parts[-1])
        rows += [
            Row(
                engine="none",
                parameters={
                    "scenario": scenario.name,
                    "after": horizon.replace(" ", "_"),
                    "evenings": score.tried,
                    "estimated": score.said,
                    "in_80": round(score.in_80 / score.said, 3),
                    "bias": round(score.bias, 4),
                    "bias_as_read": round(score.unread, 4),
                    "width_95": round(float(np.median(score.widths)), 4),
                },
                figure=score.in_95 / score.said,
                unit="share of true values in the 95 % interval",
            )
            for horizon, score in scores.items()
            if score.said
        ]
    cost = _cost()
    rows.append(
        Row(
            engine="none",
            parameters={"load": load_average()},
            figure=1e3 * cost,
            unit="ms of CPU to learn one area's delays and estimate its 21 last days",
        )
    )
    print(f"{1e3 * cost:.1f} ms of CPU to learn and to estimate 21 days")
    append("nowcast", rows, ("numpy",))
    PAGE.write_text(_HEAD.format(evenings=evenings) + "\n".join(parts))


_HEAD: Final = """# The nowcast, measured

Made by `python -m benchmarks.nowcast`; how to read completeness: [nowcast.md](nowcast.md).
Each table: {evenings} evenings, a hundred or more on each day of the week; delays are log-normal
with a median of one day unless said otherwise. Per day before the evening, and of the last seven
days together:

- **as read**: what has come, less what came in the end, of all evenings together;
- **bias**: the same of the estimate;
- **in 80 %, in 95 %**: how often the true share was inside the interval;
- **width**: of the 95 % interval, in the middle of all evenings, in points of a hundred;
- **estimated**: how often there was an estimate at all.

"""


def _table(scenario: Scenario, scores: Mapping[str, Score]) -> str:
    stress = "" if scenario.holds else " (a stress: the method does not allow for this)"
    lines = [
        f"## {scenario.name.capitalize()}{stress}",
        "",
        f"{scenario.what[0].upper()}{scenario.what[1:]}.",
        "",
        "| days before | as read | bias | in 80 % | in 95 % | width | estimated |",
        "|---|---|---|---|---|---|---|",
    ]
    for horizon, score in scores.items():
        if not score.said:
            lines.append(f"| {horizon} | | | | | | 0 % |")
            continue
        lines.append(
            f"| {horizon} | {score.unread:+.1%} | {score.bias:+.1%}"
            f" | {score.in_80 / score.said:.0%} | {score.in_95 / score.said:.0%}"
            f" | {100 * float(np.median(score.widths)):.1f} | {score.said / score.tried:.0%} |"
        )
    return "\n".join([*lines, ""])


def _cost() -> float:
    made = make(SCENARIOS[1], 1_000, np.random.default_rng(7), 3)
    triangle, through = seen(made), _FIRST + made.last
    best = float("inf")
    for _ in range(9):
        began = time.process_time()
        learned = learn(triangle, through)
        for day in range(through - DEFAULT.delays, through + 1):
            estimate(learned, triangle, day)
        best = min(best, time.process_time() - began)
    return best


if __name__ == "__main__":
    main()
