"""How tests come in after their day of sampling: what the nowcast learns from the weeks before.

Pure. Method and sources: `routing/nowcast.py`, docs/nowcast.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from .nowcast_calendar import friday_before, makes_up, open_day, weekday_of

Triangle = Mapping[int, Sequence[int]]
"""Counts by day of sampling (ordinal) and by whole days until reception."""
Rates = tuple[tuple[float, ...], ...]
"""By day of the week (Monday first) and delay."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """What the estimate may be tuned by; the defaults are those that were evaluated."""

    delays: int = 21
    """What comes later than so many days after sampling is not waited for."""
    window: int = 56
    """So many days of reception are learned from."""
    fading: float = 21.0
    """A day of reception weighs half as much as one so many days later."""
    lately: int = 7
    """So many days of reception, all days of the week alike, say whether tests come later now."""
    drawn: float = 2.0
    """A day of the week is drawn towards all days as by so many tests that came that late."""
    borrowed: float = 8.0
    """An area is drawn towards the larger one as by so many tests that came that late."""
    least: int = 50
    """Fewer tests in the window that are old enough: nothing is estimated."""
    floor: float = 0.05
    """A day of which less than this share can have come: nothing is estimated."""
    idle: float = 0.2
    """A day that received less than this share of the same weekday before is not learned from (the
    hub or its laboratories were away), nor are the days after that make up for it."""


DEFAULT: Final = Method()
_IDLE_LEAST: Final = 20
"""A weekday that usually receives fewer may well receive none: nobody was away."""
_MADE_UP: Final = 4
"""Days after one without reception that may still be making up for it, at most."""
_ALIKE: Final = 0.98
"""Shares that differ by less are told as one."""
_QUITS: Final = 0.25
"""So much of an ordinary day may be owed when all is made up for."""
_RETROSPECTS: Final = 5
"""Weeks that are looked back on for how wrong the method was."""
_RECENT: Final = 7
"""An old estimate weighs half as much as one so many days later: when delays begin to change, the
interval is to know it soon."""
_SEEN: Final = 3
"""Days that must have passed since an old estimate before it is judged."""
_FEW: Final = 20.0
"""Fewer tests than this of the latest days hardly move anything."""
_USUAL: Final = 0.01
"""An excess as may be expected: it only weighs the days that the excess is measured on."""
_RAREST: Final = 1e-6
"""A share of tests that come so late is not told from a smaller one."""
HALF: Final = 0.5
TINY: Final = 1e-9


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """How the tests of one area and condition come in: what `learn` found, and `estimate` needs."""

    through: int
    """The last day of reception that is over and was an ordinary one: estimates stand on what had
    come by then."""
    method: Method
    stays: Rates
    """By day of the week (Monday first) and delay d: the share of what came within d days that
    had come within d - 1."""
    doubts: Rates
    """Relative variance of each of `stays`."""
    excess: tuple[float, ...]
    """By days since sampling: how much more one day differs from another than by chance; 1 / (n +
    1) when its delays differ as if only n tests had been drawn (Dirichlet)."""
    idle: frozenset[int]
    """Days of reception that were not learned from."""
    holidays: frozenset[int] = frozenset()
    """Days on which nothing comes: it comes on the next that is open."""


def learn(
    triangle: Triangle,
    through: int,
    larger: Learned | None = None,
    method: Method = DEFAULT,
    holidays: frozenset[int] = frozenset(),
) -> Learned | None:
    """Return how tests come in, from the days of reception up to `through`.

    Args:
        triangle: Counts by day and delay; what came after `through` is not looked at.
        through: The last day of reception that is over: yesterday, as a rule.
        larger: What was learned for the area around it: few tests are drawn towards its delays.
        method: What is tuned; it must be that of `larger`.
        holidays: Public holidays, ordinals: what is due on them comes on the next open day.

    Returns:
        None where there is too little to learn from and no larger area.
    """
    low, idle = _idle_days(triangle, through, method, holidays)
    if larger is not None:
        idle |= larger.idle
        through = min(through, larger.through)
    while through in low or through - 1 in low:
        through -= 1
    sums = _Sums.until(triangle, through, idle, method)
    if larger is None and sums.oldest() < method.least:
        return None
    stays, doubts = _hazards(sums, larger, method)
    return Learned(
        through=through,
        method=method,
        stays=stays,
        doubts=doubts,
        excess=_excess(triangle, through, idle, larger, method, holidays),
        idle=idle,
        holidays=holidays,
    )


def reach(  # noqa: PLR0917
    stays: Rates,
    doubts: Rates,
    day: int,
    passed: int,
    until: int,
    holidays: frozenset[int] = frozenset(),
) -> tuple[float, float]:
    """Return how much of what comes within `until` days comes within `passed`, and the doubt.

    On a holiday as much has come as on the last open day before. On the weekend after a Friday that
    was one nobody knows how much of it was made up: where that matters nothing has, which is less
    than any estimate stands on.
    """
    ends = open_day(day + until, holidays) - day
    share, doubt = _product(stays, doubts, day, open_day(day + passed, holidays) - day, ends)
    friday = friday_before(day + passed)
    if friday is not None and friday in holidays:
        least, _ = _product(stays, doubts, day, open_day(friday, holidays) - day, ends)
        return (share, doubt) if least >= _ALIKE * share else (0.0, 0.0)
    return share, doubt


def _product(stays: Rates, doubts: Rates, day: int, passed: int, until: int) -> tuple[float, float]:
    if passed < 0:
        return 0.0, 0.0
    weekday = weekday_of(day)
    share, doubt = 1.0, 0.0
    for delay in range(passed + 1, until + 1):
        share *= stays[weekday][delay]
        doubt += doubts[weekday][delay]
    return share, doubt


def missing(come: int, share: float, doubt: float) -> tuple[float, float, float]:
    """Return mean and relative variances of what is missing when a share of it has come.

    With no prior opinion about the level, what is missing is negative binomial of size
    `come + 1/2`; a doubt about the share is one about its odds (delta method).
    """
    mean = (come + HALF) * (1 - share) / share
    return mean, 1 / (come + HALF), doubt / max(1 - share, TINY) ** 2


def burst(share: float) -> float:
    """Return what a day's own share differing from all days' does to what is missing of it.

    A share that varies as if only so many tests had been drawn (Dirichlet) varies most, relative
    to what is missing, where nearly all or nearly nothing has come.
    """
    return 1 / max(share * (1 - share), TINY)


def _idle_days(
    triangle: Triangle, through: int, method: Method, holidays: frozenset[int]
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the days without reception, and those with the days that made up for them."""
    received = dict.fromkeys(range(through - method.window + 1, through + 1), 0)
    for day in range(through - method.window - method.delays + 1, through + 1):
        for delay, count in enumerate(triangle.get(day, ())[: method.delays + 1]):
            if day + delay in received:
                received[day + delay] += count
    low: set[int] = set()
    idle: set[int] = set()
    owed, since = 0.0, 0
    for day, count in received.items():
        if makes_up(day, holidays):
            idle.add(day)  # known beforehand: nobody was away, and estimates need not wait
            continue
        ordinary = [received[day - b] for b in (7, 14) if _is_ordinary(day - b, received, idle)]
        usual = ordinary[0] if ordinary else 0
        is_low = usual >= _IDLE_LEAST and count < method.idle * usual
        since = 0 if is_low else since + 1
        if is_low:
            low.add(day)
        if is_low or (owed > 0 and since <= _MADE_UP):
            idle.add(day)
            owed += usual - count
            owed = 0.0 if not is_low and owed < _QUITS * usual else owed
        else:
            owed = 0.0
    return frozenset(low), frozenset(idle)


def _is_ordinary(day: int, received: Mapping[int, int], idle: set[int]) -> bool:
    return day in received and day not in idle


class _Sums(NamedTuple):
    """By day of the week and delay d: what had come within d - 1 and within d days."""

    before: list[list[float]]
    upto: list[list[float]]
    late_before: list[list[float]]
    """The same of the latest days of reception alone, unweighted."""
    late_upto: list[list[float]]

    @classmethod
    def until(cls, triangle: Triangle, through: int, idle: frozenset[int], method: Method) -> _Sums:
        """Add up what was received in the window that ends with `through`."""
        before, upto, late_before, late_upto = (
            [[0.0] * (method.delays + 1) for _ in range(7)] for _ in range(4)
        )
        weights = [0.5 ** (age / method.fading) for age in range(method.window)]
        for day in range(through - method.window - method.delays + 1, through):
            counts = triangle.get(day)
            if not counts:
                continue
            weekday, come = weekday_of(day), 0
            for delay in range(min(method.delays, through - day) + 1):
                last = come
                come += counts[delay] if delay < len(counts) else 0
                at = day + delay
                if delay and at > through - method.window and at not in idle:
                    before[weekday][delay] += weights[through - at] * last
                    upto[weekday][delay] += weights[through - at] * come
                    if at > through - method.lately:
                        late_before[weekday][delay] += last
                        late_upto[weekday][delay] += come
        return cls(before, upto, late_before, late_upto)

    def oldest(self) -> float:
        """Return how many tests were waited for as long as is waited for any."""
        return sum(each[-1] for each in self.upto)


def _hazards(sums: _Sums, larger: Learned | None, method: Method) -> tuple[Rates, Rates]:
    """Return the shares that had come a day before, and their relative variances (Beta)."""
    stays: list[tuple[float, ...]] = []
    doubts: list[tuple[float, ...]] = []
    late = HALF / method.delays  # that nothing came so late so far is no proof that nothing will
    pooled = [
        (sum(b[delay] for b in sums.before) + 1)
        / (sum(u[delay] for u in sums.upto) + 1 + (late if delay else 0.0))
        for delay in range(method.delays + 1)
    ]
    for weekday in range(7):
        prior, strength = pooled, method.drawn
        if larger is not None:
            prior, strength = list(larger.stays[weekday]), method.borrowed
        mine = [
            _drawn(before, upto - before, towards, strength)
            for before, upto, towards in zip(
                sums.before[weekday], sums.upto[weekday], prior, strict=True
            )
        ]
        stays.append(tuple(share for share, _ in mine))
        doubts.append(tuple(doubt for _, doubt in mine))
    shifts = [_shift(sums, stays, delay) for delay in range(method.delays + 1)]
    moved = tuple(
        tuple(_moved(stay, shift) for stay, shift in zip(each, shifts, strict=True))
        for each in stays
    )
    return moved, tuple(doubts)


def _shift(sums: _Sums, stays: Sequence[Sequence[float]], delay: int) -> float:
    """Return by what the odds of coming this late differ lately, all days of the week together."""
    came = expected = stayed = kept = 0.0
    for weekday in range(7):
        upto, before = sums.late_upto[weekday][delay], sums.late_before[weekday][delay]
        came += upto - before
        stayed += before
        expected += upto * (1 - stays[weekday][delay])
        kept += upto * stays[weekday][delay]
    return ((came + _FEW) / (expected + _FEW)) * ((kept + _FEW) / (stayed + _FEW))


def _moved(stay: float, shift: float) -> float:
    came = (1 - stay) * shift
    return stay / (stay + came) if stay + came > 0 else stay


def _drawn(before: float, new: float, towards: float, strength: float) -> tuple[float, float]:
    tests = strength / max(1 - towards, _RAREST)
    stayed = before + tests * towards
    came = new + tests * (1 - towards)
    total = stayed + came
    return stayed / total, came / (max(stayed, HALF) * (total + 1))


def _excess(  # noqa: PLR0917
    triangle: Triangle,
    through: int,
    idle: frozenset[int],
    larger: Learned | None,
    method: Method,
    holidays: frozenset[int],
) -> tuple[float, ...]:
    """Return how wrong the method was in the weeks before, beyond what it knew of itself.

    Of each of the last weeks: learn as at its end, estimate on each of the next seven days what
    of the days before is still to come, and compare with what has come since.
    """
    over = [0.0] * (method.delays + 1)
    scale = [0.0] * (method.delays + 1)
    for at in range(through - _RETROSPECTS * 7, through, 7):
        sums = _Sums.until(triangle, at, idle, method)
        if larger is None and sums.oldest() < method.least:
            continue
        stays, doubts = _hazards(sums, larger, method)
        for then in range(at, at + 7):
            if then in idle:
                continue
            for passed in range(method.delays):
                day = then - passed
                until = min(method.delays, through - day)
                if until < min(method.delays, passed + _SEEN):
                    continue
                counts = triangle.get(day, ())
                share, doubt = reach(stays, doubts, day, passed, until, holidays)
                if not method.floor <= share < 1 - TINY:
                    continue
                mean, counting, shared = missing(sum(counts[: passed + 1]), share, doubt)
                error = sum(counts[passed + 1 : until + 1]) - mean
                known = mean + mean**2 * (counting + shared)
                own = mean**2 * burst(share)
                weight = 0.5 ** ((through - then) / _RECENT) / (known + own * _USUAL)
                over[passed] += weight * (error**2 - known)
                scale[passed] += weight * own
    return tuple(_smoothed(over, scale, passed) for passed in range(method.delays + 1))


def _smoothed(over: Sequence[float], scale: Sequence[float], passed: int) -> float:
    """Return the excess of a delay together with the delays beside it: one alone is few days."""
    near = slice(max(0, passed - 2), passed + 3)
    total = sum(scale[near])
    return min(1.0, max(0.0, sum(over[near]) / total)) if total > 0 else 0.0
