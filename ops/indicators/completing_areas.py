"""How much of the last days has come of regions and departments: by what is told alone. Pure.

Of France the share is estimated (`completing`). An area's own differs by how its tests usually come
compared with France's, which the delays that were told of both say: an odds ratio for each number
of days, drawn towards 1 where they are few. Nothing else of the area enters but the count beside
which the share stands; so whoever has all that is told can compute it, and learns nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp, log
from typing import Final, NamedTuple

import msgspec

from schemas.figures import FRANCE, DelayClass, DelayFigure, Figure, Period
from schemas.holidays import ALSACE_MOSELLE, holidays_between

from .completing import FEWEST, LATE_DAYS, Share, Shares

WEEKS: Final = 8
"""So many told weeks are looked at."""
LEAST: Final = 100
"""Of an area with fewer tests in them nothing is said."""
_DRAWN: Final = 50.0
"""An area is drawn towards France as by so many tests."""
_APART: Final = 80.0
"""A day of an area differs from its usual, beyond counting, as if so many tests had been drawn."""
_STALE: Final = 0.1
"""The same where the area tells no class that ends on this day."""
_MAY_BE_NOTHING: Final = 3.7
"""Where so few are expected to come, none may: e to the power of -3.7 is one in forty."""
_Z_95: Final = 1.959963984540054
_LEAST_SHARE: Final = 0.001
_MADE_UP_DAYS: Final = 3


class Odds(NamedTuple):
    """How an area's odds of having come within some days differ from France's."""

    log_ratio: float
    variance: float


AreaOdds = dict[str, dict[int, Odds]]
"""Area -> days since sampling that are over -> odds."""


def odds_of(weeks: Iterable[Iterable[DelayFigure]]) -> AreaOdds:
    """Return how areas differ from France, by the delays that were told of some weeks."""
    within: dict[str, dict[int, list[float]]] = {}
    totals: dict[str, int] = {}
    for figures in weeks:
        told = {each.area: each for each in figures if each.period == Period.WEEK and each.classes}
        france = told.pop(FRANCE, None)
        if france is None:
            continue
        for area, figure in told.items():
            totals[area] = totals.get(area, 0) + (figure.tests or 0)
            held = within.setdefault(area, {})
            for days, ours, all_ours, theirs in _both(figure.classes, france.classes):
                sums = held.setdefault(days, [0.0, 0.0, 0.0])
                sums[0] += ours
                sums[1] += all_ours
                sums[2] += all_ours * theirs
    return {
        area: {days: _odds(*sums) for days, sums in sorted(held.items())}
        for area, held in within.items()
        if totals[area] >= LEAST
    }


def with_area_completeness(
    figure: Figure, shares: Shares, odds: AreaOdds, today: int, day: int
) -> Figure:
    """Return a figure of a region or department with what can be said of its completeness.

    Args:
        figure: With the flag, if France's says so.
        shares: Of France.
        odds: As of the same extraction.
        today: The day of the extraction.
        day: The last of the figure's time.
    """
    own = odds.get(figure.area)
    if figure.area == FRANCE or not own or (figure.tests or 0) < FEWEST:
        return figure
    days = range(day, day + 1) if figure.period == Period.DAY else range(day - 6, day + 1)
    period = Period.DAY.value if figure.period == Period.DAY else Period.SEVEN_DAYS.value
    if _closed_alone(figure.area, days, today):
        return figure
    found = _moved(shares.get(period, {}).get(day), _together(own, shares, days, today), figure)
    if found is None:
        return figure
    share, low, high = found
    return msgspec.structs.replace(
        figure, completeness=share, completeness_low=low, completeness_high=high
    )


def pack_odds(odds: AreaOdds) -> bytes:
    """Return the bytes of what was found."""
    return msgspec.msgpack.encode(odds)


def unpack_odds(packed: bytes | None) -> AreaOdds:
    """Return what was found; nothing where nothing was."""
    return {} if packed is None else msgspec.msgpack.decode(packed, type=AreaOdds)


def _both(
    own: Iterable[DelayClass], france: Iterable[DelayClass]
) -> list[tuple[int, float, float, float]]:
    """Return, for each day that a class of both ends on: ours by then, all of ours, their share."""
    ours, theirs = _by_day(own), _by_day(france)
    return [
        (days, *ours[days], theirs[days][0] / theirs[days][1])
        for days in sorted(ours.keys() & theirs.keys())
        if days < LATE_DAYS and theirs[days][1]
    ]


def _by_day(classes: Iterable[DelayClass]) -> dict[int, tuple[float, float]]:
    """Return what had come by each day on which a class ends, and all that came.

    Those of no known day are left out where they are told apart.
    """
    known = [each for each in classes if each.first is not None]
    total = float(sum(each.tests for each in known))
    found, come = {}, 0.0
    for each in known:
        come += each.tests
        if each.last is not None:
            found[each.last] = (come, total)
    return found


def _odds(ours: float, all_ours: float, theirs: float) -> Odds:
    """Return the ratio of odds, drawn towards 1."""
    usual = _bounded(theirs / all_ours if all_ours else 0.5)
    come = ours + _DRAWN * usual
    late = all_ours - ours + _DRAWN * (1 - usual)
    return Odds(log(come / late) - log(usual / (1 - usual)), 1 / come + 1 / late)


def _together(
    own: Mapping[int, Odds], shares: Shares, days: Iterable[int], today: int
) -> tuple[float, float] | None:
    """Return how much more of some days is missing than of France's, and the variance of odds.

    Of each day what is missing is moved by its odds; days count alike, as what is still to come.
    """
    of_days = shares.get(Period.DAY.value, {})
    missing = missing_there = variance = 0.0
    for day in days:
        share = of_days.get(day, (1.0, None, None))[0]
        if share is None:
            return None
        share = _bounded(share)
        found = _nearest(own, max(0, today - 1 - day))
        missing += 1 - _share(_logit(share) + found.log_ratio)
        missing_there += 1 - share
        variance += (1 - share) * found.variance
    return missing / missing_there, variance / missing_there


def _nearest(own: Mapping[int, Odds], days: int) -> Odds:
    """Return what is known of so many days, else of the last before them, else of the first."""
    if days in own:
        return own[days]
    found = own[max((each for each in own if each <= days), default=min(own))]
    return Odds(found.log_ratio, found.variance + _STALE)


def _moved(
    france: Share | None, differs: tuple[float, float] | None, figure: Figure
) -> Share | None:
    if france is None or differs is None or not all(france):
        return None
    share, low, high = (_bounded(each) for each in france if each is not None)
    times, variance = differs
    own = _bounded(1 - (1 - share) * times)
    counting = 1 / ((figure.tests or 1) * (1 - own))
    apart = 1 / (_APART * own * (1 - own))
    spread = ((_logit(high) - _logit(low)) / (2 * _Z_95)) ** 2
    wide = _Z_95 * (spread + variance + counting + apart) ** 0.5
    least, most = _share(_logit(own) - wide), _share(_logit(own) + wide)
    if (figure.tests or 0) * (1 - own) / own < _MAY_BE_NOTHING:
        most = 1.0
    return round(own, 3), round(least, 3), round(most, 3)


def _bounded(share: float) -> float:
    return min(1 - _LEAST_SHARE, max(_LEAST_SHARE, share))


def _logit(share: float) -> float:
    return log(share / (1 - share))


def _share(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def _closed_alone(area: str, days: range, today: int) -> bool:
    """Say whether an area had a holiday that France had not, and may still be making up for it."""
    department = area.removeprefix("department:")
    if department not in ALSACE_MOSELLE and area != "region:44":
        return False
    first, last = days[0], today
    own = holidays_between(max(first, last - _MADE_UP_DAYS), last, min(ALSACE_MOSELLE))
    return bool(own - holidays_between(first, last))
