"""How much of the last days has come: a nowcast from the reporting triangle, with an interval.

A test counts on its day of sampling and comes days later, so the last days are always short of
tests. Read as they stand they look like a decline that is not there. From how the tests of the
weeks before came in, this estimates what each of the last days will hold in the end.

Method (docs/nowcast.md): reverse-time hazards by day of the week (Lawless 1994; Brookmeyer and
Damiano 1989), drawn towards those of all days or of a larger area; what has not come yet is
negative binomial, with the spread of counting, of what was learned, and of how wrong the same
method was in the weeks before (Wolffram et al. 2023). No trend is assumed: nothing of the estimate
comes from the days beside it. The same input gives the same answer, there is no drawing of lots.

Days are ordinals (`date.toordinal`). A triangle maps a day of sampling to its counts by delay:
`triangle[day][d]` came `d` whole days after. Tests whose day of sampling is not known, and dates
that stand for a month, must not be in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from .nowcast_delays import DEFAULT, Learned, Method, Triangle, burst, learn, missing, reach
from .nowcast_spread import Z_80, Z_95, bounds

__all__ = [
    "DEFAULT",
    "Completeness",
    "Interval",
    "Learned",
    "Method",
    "Triangle",
    "estimate",
    "estimate_over",
    "learn",
]

_MOST: Final = 4.0
"""Relative variance at most: a negative binomial of more is nearly always nothing."""
_ALIKE: Final = 0.25
"""How much days that stand together are late together (correlation), beyond what was learned."""


class Interval(NamedTuple):
    """Bounds of a share, each from 0 to 1."""

    low: float
    high: float


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one day, or of several together, has come.

    `share` is `reported / expected`; where nothing has come, what usually has by now. All are None
    where nothing can be said: too little was ever received, the history is shorter than the
    longest delay, or the day has only just begun.
    """

    reported: int
    expected: float | None
    """What will be there in the end, `reported` included."""
    share: float | None
    share_80: Interval | None
    """The true share is in here eight times of ten."""
    share_95: Interval | None


def estimate(
    learned: Learned | None,
    triangle: Triangle,
    day: int,
    settled: int = 0,
) -> Completeness:
    """Return how much of a day has come.

    Args:
        learned: Of this area, or None where nothing could be learned.
        triangle: Counts by day and delay. What came after `learned.through` (today, which is not
            over) is counted as reported, and tells nothing about delays.
        day: The day of sampling.
        settled: Tests of the day that are complete as they are (dated by their reception).
    """
    return estimate_over(learned, triangle, [day], {day: settled})


def estimate_over(
    learned: Learned | None,
    triangle: Triangle,
    days: Sequence[int],
    settled: Mapping[int, int] | None = None,
) -> Completeness:
    """Return how much of several days together (seven, or a week) has come.

    What was learned is the same for each of them, so its errors are taken as one error.
    """
    reported = sum(sum(triangle.get(day, ())) for day in days)
    reported += sum((settled or {}).get(day, 0) for day in days)
    coming = [_still_to_come(learned, triangle, day) for day in days]
    known = [each for each in coming if each is not None]
    if len(known) < len(coming):
        return Completeness(
            reported=reported, expected=None, share=None, share_80=None, share_95=None
        )
    mean = sum(each.mean for each in known)
    relative = 1.0
    if mean > 0:
        counting = sum(each.mean**2 * (each.counting + (1 - _ALIKE) * each.own) for each in known)
        alike = sum(each.mean * each.own**0.5 for each in known) ** 2
        shared = sum(each.mean * each.shared**0.5 for each in known) ** 2
        relative = min(_MOST, (counting + _ALIKE * alike + shared) / mean**2)
    late = sum(each.late for each in known)
    expected = reported + max(0.0, sum(each.likely for each in known) - late)
    share = reported / expected if expected > 0 else min(each.usual for each in known)
    return Completeness(
        reported=reported,
        expected=expected,
        share=share,
        share_80=_interval(reported, late, bounds(mean, relative, Z_80, 0.1), share),
        share_95=_interval(reported, late, bounds(mean, relative, Z_95, 0.025), share),
    )


def _interval(reported: int, late: int, missing: tuple[float, float], share: float) -> Interval:
    """Return the bounds of the share; what came today was part of what was missing."""
    least, most = (max(0.0, each - late) for each in missing)
    return Interval(min(share, _share(reported, most)), max(share, _share(reported, least)))


def _share(reported: int, missing: float) -> float:
    """Return the share; of nothing that is all there will be, all has come."""
    return reported / (reported + missing) if missing > 0 else 1.0


class _Coming(NamedTuple):
    """What is still to come of a day after the last day of reception that is over."""

    likely: float
    """What is missing on average: as much more, as usually is when so much has come."""
    usual: float
    """That share."""
    mean: float
    """Of its distribution, which does not take nothing for a proof that nothing will come."""
    counting: float
    """Relative variance of counting."""
    own: float
    """Relative variance by which one day differs from another."""
    shared: float
    """Relative variance that the days beside it have with it: of what was learned."""
    late: int
    """What of it has come today."""


def _still_to_come(learned: Learned | None, triangle: Triangle, day: int) -> _Coming | None:
    if learned is None:
        return None
    method, passed = learned.method, learned.through - day
    if passed >= method.delays:
        return _Coming(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0)
    if passed < 0:
        return None
    counts = triangle.get(day, ())
    come = sum(counts[: passed + 1])
    share, doubt = reach(
        learned.stays, learned.doubts, day, passed, method.delays, learned.holidays
    )
    if share < method.floor:
        return None
    mean, counting, shared = missing(come, share, doubt)
    own = learned.excess[passed] * burst(share)
    likely = come * (1 - share) / share
    return _Coming(likely, share, mean, counting, own, shared, sum(counts[passed + 1 :]))
