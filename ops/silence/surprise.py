"""How surprising a laboratory's silence is, and how much of what was expected has come. Pure.

The score is -log10 of the probability that a laboratory with this past is silent for so long by
chance: 6 is one in a million. Sendings come as a Poisson process whose rate has a factor of the
hour and one of the day, both gamma (so counts are negative binomial), and a day may be off as a
whole as often as the past shows. Tails of sums: Wilson and Hilferty 1931, the gamma of the same
mean and variance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Final

import msgspec

from .hours import DAY_HOURS, place_of, spans, weekday_of
from .past import WEEK_DAYS, Past

MOST_SILENT_SECONDS: Final = 28 * 86_400.0
"""A silence is looked at for so long; it is found out by then, or never will be."""
DAY_SECONDS: Final = 86_400.0
_WEEKS_LEARNED: Final = 7
_WEEK_SPREAD: Final = 0.01
"""A week differs from the one before by a tenth, with all days together: weather, schools."""
_ENOUGH_DUE: Final = 50.0
_ENOUGH_LABORATORIES: Final = 20
_WINDOWS: Final = (2, 3, 5, WEEK_DAYS)
_MOST: Final = 99.0
_WHOLE: Final = 0.98
"""Of what is due on a day: from so much on the day has passed."""
_LEAST_SHAPE: Final = 2.0
"""With less due than this nothing can be said of a part that is missing."""
_TWO_SIDED_95: Final = 1.959964


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """What came of what was expected."""

    received: float
    expected: float
    ratio: float
    low: float
    """The share, had as much been due as is at the upper end of 95 % of such days."""
    high: float
    score: float
    """-log10 of the probability of so little or less."""


def silence_score(
    past: Past, last: float, now: float, closed: frozenset[int] = frozenset()
) -> float:
    """Return how surprising it is that nothing came since `last`; 0 where nothing was due.

    Args:
        past: What it usually does.
        last: When the last message came, in seconds since 1970.
        now: The end of the silence.
        closed: Local days on which it is known to be closed.
    """
    level = past.cautious_level
    begins = max(last, now - MOST_SILENT_SECONDS)
    days: dict[int, float] = {}
    covered: dict[int, float] = {}
    for hour, share in spans(begins, now):
        day, at = place_of(hour)
        if day in closed:
            continue
        slot = weekday_of(day) * DAY_HOURS + at
        sendings = past.rates[slot] * level * share / past.batch
        spread = past.hour_spread
        hardly = math.log1p(spread * sendings) / spread
        if hour * 3600 >= begins:
            # It may send once an hour, at a time that is not known. In the hour of the last
            # message it has done so.
            none = past.none[slot] ** min(1.0, level)
            hardly = max(hardly, -math.log1p(-share * (1.0 - none)) if none > 0 else 0.0)
        days[day] = days.get(day, 0.0) + hardly
        covered[day] = covered.get(day, 0.0) + past.rates[slot] * share
    score = 0.0
    for day, due in days.items():
        none = math.exp(-math.log1p(past.spread * due) / past.spread)
        usual = past.usual[weekday_of(day)]
        if usual > 0 and covered[day] >= _WHOLE * usual:
            none = min(none, past.day_none)
        score -= math.log10(past.day_off + (1.0 - past.day_off) * none)
    return min(_MOST, max(0.0, score))


def trend_of(pasts: Iterable[Past]) -> float:
    """Return the last week of the middle laboratory against its weeks before.

    A wave or a summer is everybody's; an outage of fewer than half of all does not move it. 1 where
    there are too few to tell.
    """
    ratios = []
    for past in pasts:
        due = sum(each for _, each in past.week)
        if due >= _ENOUGH_DUE:
            ratios.append(sum(got for got, _ in past.week) / due)
    if len(ratios) < _ENOUGH_LABORATORIES:
        return 1.0
    return min(2.0, max(0.5, median(ratios)))


def completeness_of_day(
    past: Past,
    received: float,
    begins: float,
    now: float,
    closed: frozenset[int] = frozenset(),
    *,
    trend: float = 1.0,
) -> Completeness | None:
    """Hold what came between two moments against the past; None: too little was due."""
    hours = 0.0
    days: dict[int, float] = {}
    for hour, share in spans(begins, now):
        day, at = place_of(hour)
        if day not in closed:
            due = past.rates[weekday_of(day) * DAY_HOURS + at] * share * past.level * trend
            hours += due**2
            days[day] = days.get(day, 0.0) + due
    expected = sum(days.values())
    variance = (
        expected * past.batch
        + past.spread * (1.0 + 1.0 / _WEEKS_LEARNED) * sum(due**2 for due in days.values())
        + past.hour_spread * hours
    )
    return _held(received, expected, variance, past.batch)


def completeness_of_week(past: Past, trend: float = 1.0) -> Completeness | None:
    """Hold the seven days before the past was learned against the weeks before them."""
    return _of_days(past, WEEK_DAYS, trend)


def week_score(past: Past, trend: float = 1.0) -> float:
    """Return the highest score of the last two, three, five and seven whole days."""
    found = [_of_days(past, days, trend) for days in _WINDOWS]
    return max((each.score for each in found if each is not None), default=0.0)


def _of_days(past: Past, days: int, trend: float) -> Completeness | None:
    held = [(got, due * trend) for got, due in past.week[-days:]]
    expected = sum(due for _, due in held)
    # The days' own factors, and what is not known of the level: two weeks told it.
    of_days = past.spread * sum(due**2 for _, due in held)
    of_level = (past.spread / (2 * WEEK_DAYS) + _WEEK_SPREAD) * expected**2
    variance = expected * past.day_batch + of_days + of_level
    return _held(sum(got for got, _ in held), expected, variance, past.day_batch)


def _held(received: float, expected: float, variance: float, batch: float) -> Completeness | None:
    if expected <= 0:
        return None
    shape = expected**2 / variance
    if shape < _LEAST_SHAPE:
        return None
    low, high = (_quantile(shape, z) * expected for z in (-_TWO_SIDED_95, _TWO_SIDED_95))
    return Completeness(
        received=received,
        expected=expected,
        ratio=received / expected,
        low=received / high,
        high=received / low if low > 0 else math.inf,
        # Half a sending more: counts go in steps, the gamma does not.
        score=_score_below(shape, (received + batch / 2) / expected),
    )


def _quantile(shape: float, z: float) -> float:
    ninth = 1.0 / (9.0 * shape)
    return float(max(0.0, 1.0 - ninth + z * math.sqrt(ninth)) ** 3)


def _score_below(shape: float, ratio: float) -> float:
    """Return -log10 of P(gamma of this shape and mean 1 is at most `ratio`)."""
    ninth = 1.0 / (9.0 * shape)
    z = (ratio ** (1 / 3) - (1.0 - ninth)) / math.sqrt(ninth)
    below = 0.5 * math.erfc(-z / math.sqrt(2.0))
    return min(_MOST, -math.log10(below)) if below > 0 else _MOST
