"""Where chance comes from: one seeded generator for each thing that is drawn.

Only `random()` of `random.Random` is ever called: Python promises that its sequence for an integer
seed stays the same between versions, which `choice`, `shuffle` and `randrange` do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import IntEnum
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Stream(IntEnum):
    """What a generator is drawn for; two streams of one seed never share their numbers."""

    LAYOUT = 1
    HOUSEHOLD = 2
    PERSON = 3
    TWIN = 4
    REGISTRATION = 5
    ROAD = 6
    ORDER = 7
    LABORATORY = 8
    RECORD = 9
    SETTLED = 10
    REFERRAL = 11


def generator(seed: int, stream: Stream, first: int = 0, second: int = 0) -> Random:
    """Return the generator of one thing: the same numbers for the same four arguments, always.

    Args:
        seed: Seed of the whole simulation, zero or more.
        stream: What is drawn.
        first: Number of the thing, below 2**40.
        second: Second number (a laboratory's, a household's place in its block), below 2**32.
    """
    return Random(((seed << 8 | stream) << 72) | (first << 32) | second)  # noqa: S311 - play


def below(rng: Random, limit: int) -> int:
    """Return a whole number of 0 .. limit - 1."""
    return int(rng.random() * limit)


def mixed(*numbers: int) -> int:
    """Return a well-mixed 32-bit number of some numbers, cheaply and without any state."""
    value = 0x811C9DC5
    for number in numbers:
        value = ((value ^ (number & 0xFFFFFFFF)) * 0x9E3779B1) & 0xFFFFFFFF
        value ^= value >> 15
    value = (value * 0x85EBCA6B) & 0xFFFFFFFF
    return value ^ (value >> 13)


class Weighted(Generic[T]):
    """A choice with weights, drawn with one number.

    Args:
        choices: What may be drawn, with the weight of each.
    """

    def __init__(self, choices: Sequence[tuple[T, float]]) -> None:
        self._values = [value for value, _ in choices]
        total = 0.0
        self._bounds: list[float] = []
        for _, weight in choices:
            total += weight
            self._bounds.append(total)
        self._total = total
        self._last = len(self._values) - 1

    def draw(self, rng: Random) -> T:
        """Return one of the choices."""
        return self._values[bisect_right(self._bounds, rng.random() * self._total, 0, self._last)]
