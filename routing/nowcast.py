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

Triangle = Mapping[int, Sequence[int]]
"""Counts by day of sampling (ordinal) and by whole days until reception."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """What the estimate may be tuned by; the defaults are those that were evaluated."""

    delays: int = 21
    """What comes later than so many days after sampling is not waited for."""
    window: int = 56
    """So many days of reception are learned from."""
    drawn: float = 20.0
    """A day of the week is drawn towards all days (or the larger area) as by so many tests."""
    least: int = 50
    """Fewer tests in the window that are old enough: nothing is estimated."""
    floor: float = 0.05
    """A day of which less than this share can have come: nothing is estimated."""


DEFAULT: Final = Method()


class Interval(NamedTuple):
    """Bounds of a share, each from 0 to 1."""

    low: float
    high: float


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one day, or of several together, has come.

    `share` is `reported / expected`. All three are None where nothing can be said: too little was
    ever received, the history is shorter than the longest delay, or the day has only just begun.
    """

    reported: int
    expected: float | None
    """What will be there in the end, `reported` included."""
    share: float | None
    share_80: Interval | None
    """The true share is in here eight times of ten."""
    share_95: Interval | None


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """How the tests of one area and condition come in: what `learn` found, and `estimate` needs."""

    through: int
    """The last day of reception that is over, and was learned from."""
    method: Method
    stays: tuple[tuple[float, ...], ...]
    """By day of the week (Monday first) and delay d: the share of what came within d days that
    had come within d - 1."""
    doubts: tuple[tuple[float, ...], ...]
    """Relative variance of each of `stays`."""
    excess: tuple[float, ...]
    """By days since sampling: relative variance of what was still to come, beyond all that."""


def learn(
    triangle: Triangle, through: int, larger: Learned | None = None, method: Method = DEFAULT
) -> Learned | None:
    """Return how tests come in, from the days of reception up to `through`.

    Args:
        triangle: Counts by day and delay; what came after `through` is not looked at.
        through: The last day of reception that is over: yesterday, as a rule.
        larger: What was learned for the area around it: few tests are drawn towards its delays.
        method: What is tuned.

    Returns:
        None where there is too little to learn from and no larger area.
    """
    raise NotImplementedError


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
    raise NotImplementedError


def estimate_over(
    learned: Learned | None,
    triangle: Triangle,
    days: Sequence[int],
    settled: Mapping[int, int] | None = None,
) -> Completeness:
    """Return how much of several days together (seven, or a week) has come.

    What was learned is the same for each of them, so its errors are taken as one error.
    """
    raise NotImplementedError
