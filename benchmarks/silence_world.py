"""Invented laboratories that send through ten weeks: what a detector of silence is judged on.

It knows nothing of the detector's model: volumes lognormal, five ways of sending, growth or
decline, a wave that all share, days and hours that are better or worse than usual, closures that
are told and days off that nobody tells, an outage in the past of some.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import msgspec
import numpy as np

from ops.silence.hours import DAY_HOURS, HOUR_SECONDS, PARIS, weekday_of
from ops.silence.past import Hour

FIRST: Final = date(2026, 3, 2).toordinal()
"""With Easter Monday in the weeks that are learned from, and 1 and 8 May in those judged."""
LEARNED_DAYS: Final = 57
JUDGED_DAYS: Final = 14
DAYS: Final = LEARNED_DAYS + JUDGED_DAYS
_MEDIAN: Final = 120.0
_SIGMA: Final = 1.2
_EPOCH: Final = date(1970, 1, 1).toordinal()
WAYS: Final = ("steady", "bursts", "hourly", "few_times", "evening")
_SHARES: Final = (0.45, 0.2, 0.15, 0.12, 0.08)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """One laboratory's life."""

    volume: float
    """Messages of a working day."""
    way: str
    sent: Any
    """When each message came, seconds since 1970, in order."""
    closed: frozenset[int]
    """Told to the hub."""
    off: frozenset[int]
    """Told to nobody."""


def begins(day: int) -> float:
    """Return when a local day begins, in seconds since 1970."""
    return datetime.combine(date.fromordinal(day), datetime.min.time(), PARIS).timestamp()


def life(seed: int) -> World:
    """Return a laboratory; the same for the same seed."""
    random = np.random.default_rng(seed)
    volume = float(min(6_000.0, _MEDIAN * np.exp(_SIGMA * random.standard_normal())))
    way = str(random.choice(WAYS, p=_SHARES))
    opens, closes = random.choice((6, 7, 8)), random.choice((17, 18, 19, 20))
    saturday = random.choice((0.0, 0.35, 0.6), p=(0.2, 0.4, 0.4))
    sunday = random.choice((0.0, 0.05, 0.3), p=(0.6, 0.2, 0.2))
    at_night = random.choice((0.0, 0.03), p=(0.7, 0.3))
    growth = float(np.exp(random.normal(0.0, 0.25)) ** (1 / DAYS))
    day_spread, hour_spread = random.uniform(0.01, 0.08), random.uniform(0.02, 0.3)
    closed = _closed(random)
    off = frozenset(np.flatnonzero(random.random(DAYS) < random.choice((0, 0.003))) + FIRST)
    broken = FIRST + int(random.integers(0, LEARNED_DAYS)) if random.random() < 0.1 else 0
    minute = random.uniform(0.1, 0.9)
    batch = float(np.exp(random.uniform(np.log(2), np.log(12)))) if way == "bursts" else 1.0
    sent = []
    for number in range(DAYS):
        day = FIRST + number
        if day in closed or day in off or day == broken:
            continue
        weekday = weekday_of(day)
        share = (1.0, 1.0, 1.0, 1.0, 1.0, saturday, sunday)[weekday]
        wave = 1.0 + 0.3 * np.sin(2 * np.pi * number / 56)
        due = volume * share * growth**number * wave * random.gamma(1 / day_spread, day_spread)
        shape = _shape(opens, closes if weekday < 5 else 13, at_night)
        sent.append(
            begins(day)
            + _of_day(random, way, due * shape, hour_spread=hour_spread, minute=minute, batch=batch)
        )
    return World(
        volume=volume, way=way, sent=np.sort(np.concatenate(sent)), closed=closed,
        off=frozenset(int(each) for each in off),
    )  # fmt: skip


def _closed(random: Any) -> frozenset[int]:
    """One in five is closed for some days, and says so."""
    if random.random() > 0.2:
        return frozenset()
    first = FIRST + int(random.integers(0, DAYS))
    return frozenset(range(first, first + int(random.integers(1, 9))))


def _shape(opens: int, closes: int, at_night: float) -> Any:
    hours = np.arange(DAY_HOURS)
    middle = (opens + closes) / 2
    shape = np.where((hours >= opens) & (hours < closes),
                     1.0 + 0.4 * np.cos((hours - middle + 1) / 2.0), at_night)  # fmt: skip
    return shape / shape.sum()


def _of_day(
    random: Any, way: str, due: Any, *, hour_spread: float, minute: float, batch: float
) -> Any:
    """Return seconds after midnight of the messages of a day, `due` in each hour."""
    factor = random.gamma(1 / hour_spread, hour_spread, DAY_HOURS)
    sendings = random.poisson(due * factor / batch)
    hours = np.repeat(np.arange(DAY_HOURS), sendings)
    at = hours + random.random(len(hours))
    if way == "bursts":
        at = np.repeat(at, 1 + random.poisson(batch - 1, len(at)))
    elif way == "hourly":
        at = hours + 1 + minute + random.normal(0, 0.01)
    elif way in {"few_times", "evening"}:
        ends = np.array([9.0, 12.0, 15.5, 18.5] if way == "few_times" else [18.0]) + minute
        ends = np.append(ends + random.normal(0, 0.15, len(ends)), 23.9)
        at = ends[np.minimum(np.searchsorted(ends, at), len(ends) - 1)]
    return np.minimum(at, 23.99) * HOUR_SECONDS + random.random(len(at)) * 20


def hours_of(sent: Any, before: float) -> list[Hour]:
    """Return the hours that the hub would have kept of what came before a moment."""
    held = sent[sent < before]
    hours = (held // HOUR_SECONDS).astype(np.int64)
    numbers, first, counts = np.unique(hours, return_index=True, return_counts=True)
    last = held[first + counts - 1]
    rest = 1.0 - (last - numbers * HOUR_SECONDS) / HOUR_SECONDS
    return [
        Hour(int(hour), int(n), float(left))
        for hour, n, left in zip(numbers, counts, rest, strict=True)
    ]
