"""What has not come yet, as a distribution: bounds of a negative binomial, no lots drawn."""

from __future__ import annotations

from math import exp, log
from typing import Final

Z_80: Final = 1.2815515655446004
Z_95: Final = 1.959963984540054
_SUMMED: Final = 400.0
"""Up to this mean the distribution is summed exactly; above it a gamma's quantile is as good."""


def bounds(mean: float, relative: float, z: float, tail: float) -> tuple[float, float]:
    """Return the lower and the upper quantile of what is still to come.

    Args:
        mean: Expected count, 0 or more.
        relative: Relative variance beyond that of a Poisson count (1 / size), above 0.
        z: Quantile of the standard normal distribution for the upper bound.
        tail: Probability beyond each of the two bounds; it belongs to `z`.
    """
    if mean <= 0:
        return 0.0, 0.0
    if mean <= _SUMMED:
        return _summed(mean, 1 / relative, tail)
    shape = mean / (1 + mean * relative)
    scale = mean / shape
    return _gamma(shape, -z) * scale, _gamma(shape, z) * scale


def _summed(mean: float, size: float, tail: float) -> tuple[float, float]:
    """Walk up the probabilities: each follows from the one before."""
    success = size / (size + mean)
    term = exp(size * log(success))
    below, count, low = term, 0, -1
    most = int(mean + 60 * (mean + mean * mean / size) ** 0.5) + 60
    while below < 1 - tail and count < most:
        if low < 0 and below >= tail:
            low = count
        term *= (count + size) / (count + 1) * (1 - success)
        count += 1
        below += term
    return float(max(low, 0) if low >= 0 else count), float(count)


def _gamma(shape: float, z: float) -> float:
    """Wilson and Hilferty (1931): the cube root of a gamma variable is nearly normal."""
    ninth = 1 / (9 * shape)
    return float(shape * max(0.0, 1 - ninth + z * ninth**0.5) ** 3)
