"""Is a course flat? Least squares of means over blocks, with an interval of 95 %. Pure.

Samples of one process follow each other closely: what one says, the next mostly says again. So
samples are first averaged over blocks of some minutes, far enough apart to be taken as independent
of each other; a line through the blocks' means has honest errors then (Student's t).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, linear_regression
from typing import Final, Literal

import msgspec

_HOUR: Final = 3_600.0
_FEWEST: Final = 3

Verdict = Literal["flat", "grows", "falls", "unclear"]


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    """A line through a course, by the hour."""

    first: float
    """Mean of the first block."""
    last: float
    mean: float
    per_hour: float
    low: float
    """Of the interval that holds the slope by the hour with 95 %."""
    high: float

    def verdict(self, tolerance: float) -> Verdict:
        """Say whether it is flat: the interval within the tolerance by the hour, or round zero.

        Args:
            tolerance: In the unit of the course: what by the hour nobody need mind.

        Returns:
            `flat` too when zero lies in the interval and the slope itself within the tolerance;
            `unclear` when the interval is too wide to say.
        """
        if self.low > tolerance:
            return "grows"
        if self.high < -tolerance:
            return "falls"
        within = -tolerance <= self.low and self.high <= tolerance
        around = self.low <= 0 <= self.high and abs(self.per_hour) <= tolerance
        return "flat" if within or around else "unclear"


def slope_of(points: Sequence[tuple[float, float]], block_seconds: float) -> Slope | None:
    """Return the line through (second, value); None of fewer than three blocks.

    Args:
        points: In order of time.
        block_seconds: Length of a block.
    """
    blocks: dict[int, list[tuple[float, float]]] = {}
    for second, value in points:
        blocks.setdefault(int(second // block_seconds), []).append((second, value))
    full = max((len(block) for block in blocks.values()), default=0)
    means = [
        (fmean(second for second, _ in block), fmean(value for _, value in block))
        for block in blocks.values()
        if len(block) * 2 >= full
    ]
    if len(means) < _FEWEST:
        return None
    hours = [second / _HOUR for second, _ in means]
    values = [value for _, value in means]
    line = linear_regression(hours, values)
    free = len(means) - 2
    left = sum(
        (v - line.intercept - line.slope * h) ** 2 for h, v in zip(hours, values, strict=True)
    )
    middle = fmean(hours)
    error = sqrt(left / free / sum((hour - middle) ** 2 for hour in hours))
    reach = student(free) * error
    return Slope(
        first=values[0],
        last=values[-1],
        mean=fmean(values),
        per_hour=line.slope,
        low=line.slope - reach,
        high=line.slope + reach,
    )


def student(free: int) -> float:
    """Return Student's t for two sides of 95 %; of more degrees of freedom than 9 by expansion.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, table 26.10 and 26.7.5.
    """
    if free in _STUDENT:
        return _STUDENT[free]
    z = 1.959964
    return (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )


_STUDENT: Final = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
}
