"""What a laboratory usually sends, learned from its own hours. Pure.

Of each weekday and hour: how many messages, and how often none at all. Thin slots lean on the
laboratory's own other days of the same kind (Monday to Friday, Saturday, Sunday), never on other
laboratories. The last week is not learned from: it is what is held against the weeks before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from .hours import DAY_HOURS, SLOTS, place_of, weekday_of

WINDOW_DAYS: Final = 63
WEEK_DAYS: Final = 7
_LEVEL_DAYS: Final = 14
_KINDS: Final = (0, 0, 0, 0, 0, 1, 2)
"""Of a weekday: Monday to Friday, Saturday, Sunday."""
_LEAN: Final = 2.0
"""So many weeks of its own days of the same kind stand beside what a slot shows itself."""
_DOUBT: Final = 0.1
"""Of hours that never were without a message so many are counted as such: who never misses its hour
in eight weeks hardly does. Chosen by benchmarks/silence.py."""
_USUAL_SPREAD: Final = 0.05
_SPREAD_DAYS: Final = 10
_HOUR_SPREAD: Final = 0.1
_HOUR_SPREAD_HOURS: Final = 20
_OUTLIER: Final = 3.0
"""A day above so many times its weekday's median is an archive: it counts as a usual one."""
_CLEAR: Final = 3.0
"""A weekday's median from which on a day without a message is a day off, not chance."""
_FEWEST: Final = 8
_LEVELS: Final = (0.1, 4.0)
_NEVER_OFF: Final = 1e-9


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """One hour of a laboratory in which something came."""

    hour: int
    """Since 1970, UTC."""
    received: int
    rest: float
    """Share of the hour after the last message."""


class Past(msgspec.Struct, frozen=True, array_like=True):
    """What a laboratory usually does, as of the beginning of a day."""

    learned_day: int
    days: int
    """Days since its first message in the window; those that are too few give no score."""
    rates: tuple[float, ...]
    """Messages of each weekday's hour, Monday 0 h first."""
    none: tuple[float, ...]
    """Probability of each that an hour has none."""
    level: float
    """The last weeks against all weeks; growth and summer."""
    batch: float
    """Messages that come together: a sending."""
    day_batch: float
    """The same as days show it: one that sends the same number each day has 1."""
    spread: float
    """Of whole days, beyond chance: the variance of a day's factor."""
    hour_spread: float
    day_off: float
    """Probability of a day off that nobody has told."""
    day_none: float
    """Probability that a day on which it usually sends passes without a message."""
    usual: tuple[float, ...]
    """Messages of each weekday; 0 where a day without a message would be no wonder."""
    week: tuple[tuple[float, float], ...]
    """Received and expected of each of the last seven days, the eldest first; closures are 0, 0."""

    @property
    def week_level(self) -> float:
        """Return the last week against all weeks."""
        expected = sum(due for _, due in self.week)
        if expected <= 0:
            return self.level
        return self.level * sum(got for got, _ in self.week) / expected

    @property
    def cautious_level(self) -> float:
        """Return the lower of both levels: whoever sends less these days is silent for longer."""
        return max(_LEVELS[0], min(self.level, self.week_level))


def learn(hours: Iterable[Hour], today: int, closed: frozenset[int] = frozenset()) -> Past | None:
    """Learn from the hours before `today`; None where there is none.

    Args:
        hours: With a message, in any order; those before the window are left out.
        today: The local day, as an ordinal; nothing of it is learned.
        closed: Days on which it was known to be closed.
    """
    eldest = today - WINDOW_DAYS
    placed: dict[int, dict[int, Hour]] = {}
    for each in hours:
        day, at = place_of(each.hour)
        if eldest <= day < today:
            before = placed.setdefault(day, {}).get(at)
            placed[day][at] = each if before is None else _together(before, each)
    if not placed:
        return None
    first = min(placed)
    base_until = today - WEEK_DAYS if today - first >= 3 * WEEK_DAYS else today
    days = [day for day in range(first, base_until) if day not in closed]
    totals = {day: _total(placed.get(day, {})) for day in range(first, today)}
    medians = _medians(days, totals)
    off = {day for day in days if totals[day] == 0 and medians[weekday_of(day)] >= _CLEAR}
    days = [day for day in days if day not in off]
    weights = {day: _weight(totals[day], medians[weekday_of(day)]) for day in days}
    rates, none = _slots(days, placed, weights)
    usual = [sum(rates[w * DAY_HOURS : (w + 1) * DAY_HOURS]) for w in range(7)]
    batch = _batch(days, placed)
    day_batch = min(batch, _scatter(days, totals, weights, usual))
    level = _level(days[-_LEVEL_DAYS:], totals, weights, usual)
    return Past(
        learned_day=today,
        days=today - first,
        rates=_rounded(rates),
        none=_rounded(none),
        level=round(level, 4),
        batch=round(batch, 3),
        day_batch=round(day_batch, 3),
        spread=round(_spread(days, totals, weights, usual, day_batch), 4),
        hour_spread=round(_hour_spread(days, placed, weights, rates, batch), 4),
        # One day off is forgiven: it may have been an outage.
        day_off=max(_NEVER_OFF, round(max(0, len(off) - 1) / max(1, len(days) + len(off)), 5)),
        day_none=_day_none(days, off, medians),
        usual=_rounded([u if m >= _CLEAR else 0.0 for u, m in zip(usual, medians, strict=True)]),
        week=tuple(
            (0.0, 0.0)
            if day in closed
            else (float(totals[day]), round(level * usual[weekday_of(day)], 2))
            for day in range(base_until, today)
        ),
    )


def _together(one: Hour, other: Hour) -> Hour:
    """Join the hour that comes twice when summer time ends."""
    received = max(one.received, other.received)
    return Hour(hour=one.hour, received=received, rest=min(one.rest, other.rest))


def _day_none(days: Sequence[int], off: Collection[int], medians: Sequence[float]) -> float:
    clear = sum(medians[weekday_of(day)] >= _CLEAR for day in days) + len(off)
    return round((max(0, len(off) - 1) + _DOUBT) / (clear + 2 * _DOUBT), 5) if clear else 1.0


def _total(hours: Mapping[int, Hour]) -> int:
    return sum(each.received for each in hours.values())


def _medians(days: Sequence[int], totals: Mapping[int, int]) -> list[float]:
    of: list[list[int]] = [[] for _ in range(7)]
    for day in days:
        of[weekday_of(day)].append(totals[day])
    return [float(median(each)) if each else 0.0 for each in of]


def _weight(total: int, usual: float) -> float:
    """Return how much each message of a day counts: less on a day that is far above its like."""
    most = max(usual, _CLEAR)
    return 1.0 if total <= _OUTLIER * most else most / total


def _slots(
    days: Sequence[int], placed: Mapping[int, Mapping[int, Hour]], weights: Mapping[int, float]
) -> tuple[list[float], list[float]]:
    """Return of each slot the messages, and the probability of none."""
    sums, active = [0.0] * SLOTS, [0] * SLOTS
    number = [0] * 7
    for day in days:
        weekday = weekday_of(day)
        number[weekday] += 1
        for at, each in placed.get(day, {}).items():
            sums[weekday * DAY_HOURS + at] += weights[day] * each.received
            active[weekday * DAY_HOURS + at] += 1
    rates, none = [0.0] * SLOTS, [1.0] * SLOTS
    for kind in range(3):
        alike = [w for w in range(7) if _KINDS[w] == kind]
        n = sum(number[w] for w in alike)
        for at in range(DAY_HOURS):
            slots = [w * DAY_HOURS + at for w in alike]
            rate = sum(sums[slot] for slot in slots) / n if n else 0.0
            zeros = n - sum(active[slot] for slot in slots)
            no = (zeros + _DOUBT) / (n + 2 * _DOUBT) if n else 1.0
            for w, slot in zip(alike, slots, strict=True):
                own = number[w] + _LEAN
                rates[slot] = (sums[slot] + _LEAN * rate) / own
                none[slot] = (number[w] - active[slot] + _LEAN * no) / own
    return rates, none


def _batch(days: Sequence[int], placed: Mapping[int, Mapping[int, Hour]]) -> float:
    """Return how many messages come together: 1 where each comes for itself.

    Of n messages at chance moments the last leaves 1/(n + 1) of the hour. Who leaves more sends
    them together. Hours before one without a message do not count: it closed in them.
    """
    left, chance, number = 0.0, 0.0, 0
    received, active = 0, 0
    for day in days:
        held = placed.get(day, {})
        for at, each in held.items():
            received, active = received + each.received, active + 1
            if at + 1 in held:
                left += each.received * each.rest
                chance += each.received / (each.received + 1)
                number += 1
    if number < max(_FEWEST, active / 4):
        return max(1.0, received / max(1, active))  # an hour is one sending
    return max(1.0, left / chance)


def _level(
    days: Sequence[int],
    totals: Mapping[int, int],
    weights: Mapping[int, float],
    usual: Sequence[float],
) -> float:
    one = sum(usual) / 7
    got = sum(totals[day] * weights[day] for day in days) + one
    should = sum(usual[weekday_of(day)] for day in days) + one
    return min(_LEVELS[1], max(_LEVELS[0], got / should)) if should > 0 else 1.0


def _weeks(days: Sequence[int], usual: Sequence[float]) -> list[list[int]]:
    """Return days on which something is due, by week; growth and waves are no scatter of a day."""
    weeks: dict[int, list[int]] = {}
    for day in days:
        if usual[weekday_of(day)] >= 1:
            weeks.setdefault(day // WEEK_DAYS, []).append(day)
    return [week for week in weeks.values() if len(week) > 1]


def _squares(
    days: Sequence[int],
    totals: Mapping[int, int],
    weights: Mapping[int, float],
    usual: Sequence[float],
) -> list[tuple[float, float]]:
    """Return what was due of each day of its week's sum, and the square of what was different."""
    found = []
    for week in _weeks(days, usual):
        should = sum(usual[weekday_of(day)] for day in week)
        level = sum(totals[day] * weights[day] for day in week) / should
        freed = len(week) / (len(week) - 1)
        for day in week:
            due = level * usual[weekday_of(day)]
            if due > 0:
                found.append((due, freed * (totals[day] * weights[day] - due) ** 2))
    return found


def _scatter(
    days: Sequence[int],
    totals: Mapping[int, int],
    weights: Mapping[int, float],
    usual: Sequence[float],
) -> float:
    """Return the variance of days over their mean, 1 or more; it is 1 of single messages."""
    squares = _squares(days, totals, weights, usual)
    due = sum(each for each, _ in squares)
    return max(1.0, sum(each for _, each in squares) / due) if due > 0 else 1.0


def _spread(
    days: Sequence[int],
    totals: Mapping[int, int],
    weights: Mapping[int, float],
    usual: Sequence[float],
    batch: float,
) -> float:
    """Return the variance of a day's factor within its week, once chance is taken off."""
    squares = _squares(days, totals, weights, usual)
    found = sum(square / due**2 - batch / due for due, square in squares)
    return (_SPREAD_DAYS * _USUAL_SPREAD + max(0.0, found)) / (_SPREAD_DAYS + len(squares))


def _hour_spread(
    days: Sequence[int],
    placed: Mapping[int, Mapping[int, Hour]],
    weights: Mapping[int, float],
    rates: Sequence[float],
    batch: float,
) -> float:
    """Return the same of an hour, over hours that usually have some sendings."""
    found = 0.0
    number = 0
    for day in days:
        held, first = placed.get(day, {}), weekday_of(day) * DAY_HOURS
        for at in range(DAY_HOURS):
            should = rates[first + at]
            if should >= 2 * batch:
                got = held[at].received * weights[day] if at in held else 0.0
                found += ((got - should) / should) ** 2 - batch / should
                number += 1
    total = _HOUR_SPREAD_HOURS + number
    return (_HOUR_SPREAD_HOURS * _HOUR_SPREAD + max(0.0, found)) / total


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(f"{each:.4g}") for each in values)
