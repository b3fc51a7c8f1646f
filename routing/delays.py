"""What is told of delays: from sampling to reception, by area and week, as finely as may be. Pure.

Bins of a test: 0 to 21 days, later, and no known day of sampling; a week's tests are their sum. The
ladder below says how they are put together where they are few. Beside it, of the same tests, those
whose residence is imputed. Rules: docs/indicator-rules.md, ADR 0048.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from schemas.areas import inhabitants_of
from schemas.figures import FRANCE, DelayClass, DelayFigure, Flag, Period

from .disclosure_cells import DAYS, ELSEWHERE, TESTS, WEEK, Node, Shown, first_day
from .disclosure_classes import Division, Levels, ToldTests, area_bins, decide_classes
from .disclosure_policy import Policy
from .indicator_cells import LONGEST_DELAY

LATER: Final = LONGEST_DELAY + 1
UNKNOWN: Final = LATER + 1
BINS: Final = UNKNOWN + 1
SETTLED_DAYS: Final = LONGEST_DELAY + 1
"""So long after its Sunday a week is told: all that has a class of its own has come by then."""
_ALL: Final = tuple(range(BINS))


def _cut(*begins: int) -> tuple[tuple[int, ...], ...]:
    """Return classes by where each begins."""
    ends = (*begins[1:], BINS)
    return tuple(_ALL[begin:end] for begin, end in zip(begins, ends, strict=True))


DELAYS: Final = Division(
    levels=(
        _cut(*_ALL),
        _cut(0, 1, 2, 3, 4, 7, 14, LATER, UNKNOWN),
        _cut(0, 1, 2, 3, 4, UNKNOWN),
        _cut(0, 1, 2, 3, 4),
        _cut(0, 2, 4),
        _cut(0, 4),
    )
)
"""Day by day; then 4-6, 7-13, 14-21; 4 and later; with those of no known day; two by two; 0-3."""
IMPUTED: Final = Division(levels=(((0,), (1,)),))
"""Residence known; residence imputed."""


class ShownDelays(msgspec.Struct, frozen=True, kw_only=True):
    """How finely a condition's week is told. It holds no count; it is not published."""

    delays: Levels
    imputed: Levels


class WeekTests(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of a condition's week, by department (empty: unknown) and day, Monday first."""

    delays: Mapping[str, Sequence[Sequence[int]]]
    """By bin: 0 to 21 days, later, unknown."""
    imputed: Mapping[str, Sequence[Sequence[int]]]
    """Those whose residence is known, those whose it is not."""


def decide_delays(
    tests: WeekTests, shown: Shown, policy: Policy, before: ShownDelays | None = None
) -> ShownDelays:
    """Say how finely a week may be told.

    Args:
        tests: Counts.
        shown: What is told of the week's tests: where these are withheld, so is what they divide
            into.
        policy: What the operator decided.
        before: What was told of it already.
    """
    if not policy.protects:
        every = {area: 0 for area in area_bins(tests.delays) if area != ELSEWHERE}
        levels = Levels(areas=every, days=0)
        return ShownDelays(delays=levels, imputed=levels)
    told = _told(shown)
    earlier = None if before is None else before.imputed
    return ShownDelays(
        delays=decide_classes(
            DELAYS, tests.delays, told, policy, None if before is None else before.delays
        ),
        imputed=decide_classes(IMPUTED, tests.imputed, told, policy, earlier),
    )


def delay_figures(
    condition: str, week: str, tests: WeekTests, shown: ShownDelays, policy: Policy
) -> list[DelayFigure]:
    """Return what is told of a week: of each area that had tests; of France its days too."""
    delays, imputed = area_bins(tests.delays), area_bins(tests.imputed)
    found = [
        _figure(
            (condition, area, Period.WEEK.value, week),
            (_sum(delays[area]), shown.delays.areas.get(area)),
            (_sum(imputed[area]), shown.imputed.areas.get(area)),
            policy,
        )
        for area in sorted(set(delays) - {ELSEWHERE})
    ]
    monday = first_day(week)
    for at, (day, guess) in enumerate(
        zip(delays.get(FRANCE, ()), imputed.get(FRANCE, ()), strict=True)
    ):
        label = (monday + timedelta(days=at)).isoformat()
        found.append(
            _figure(
                (condition, FRANCE, Period.DAY.value, label),
                (day, shown.delays.days),
                (guess, shown.imputed.days),
                policy,
            )
        )
    return found


def settled_sunday(on: date) -> int:
    """Return the ordinal of the last Sunday whose week may be told on a day."""
    last = on.toordinal() - SETTLED_DAYS
    return last - last % 7


def _figure(
    place: tuple[str, str, str, str],
    delays: tuple[Sequence[int], int | None],
    imputed: tuple[Sequence[int], int | None],
    policy: Policy,
) -> DelayFigure:
    condition, area, period, label = place
    bare = DelayFigure(condition=condition, area=area, period=period, label=label)
    if policy.class_below > 0 and inhabitants_of(area) < policy.class_below:
        return msgspec.structs.replace(bare, flags=(Flag.CLASSED.value,))
    (bins, level), (guessed, guessed_level) = delays, imputed
    flags = set()
    if level is None or guessed_level is None:
        flags.add(Flag.SUPPRESSED.value)
    if policy.rounding > 1:
        flags.add(Flag.ROUNDED.value)
    changes: dict[str, object] = {"flags": tuple(sorted(flags))}
    if level is not None:
        changes |= _told_of(_classes(bins, level, policy))
    if guessed_level is not None:
        changes["imputed_tests"] = policy.rounded(guessed[1])
    return msgspec.structs.replace(bare, **changes)


def _classes(bins: Sequence[int], level: int, policy: Policy) -> list[DelayClass]:
    found = []
    for some in DELAYS.levels[level]:
        first, last = some[0], min(some[-1], LATER)
        found.append(
            DelayClass(
                first=None if first == UNKNOWN else first,
                last=None if last == LATER else last,
                unknown=UNKNOWN in some,
                tests=policy.rounded(sum(bins[each] for each in some)),
            )
        )
    return found


def _told_of(classes: Sequence[DelayClass]) -> dict[str, object]:
    """Return what follows from the classes, and from nothing else."""
    tests = sum(each.tests for each in classes)
    alone = [each.tests for each in classes if each.first is None]
    return {
        "tests": tests,
        "classes": tuple(classes),
        "within_1": _within(classes, 1, tests),
        "within_2": _within(classes, 2, tests),
        "within_3": _within(classes, 3, tests),
        "median_days": _quantile(classes, tests, 50),
        "p90_days": _quantile(classes, tests, 90),
        "by_reception_tests": alone[0] if alone else None,
    }


def _within(classes: Iterable[DelayClass], days: int, tests: int) -> float | None:
    """Return the share that came within some days; None where a class reaches over them."""
    come = 0
    for each in classes:
        if each.first is None or each.first > days:
            continue
        if each.last is None or each.last > days:
            return None
        come += each.tests
    return round(come / tests, 4) if tests else None


def _quantile(classes: Iterable[DelayClass], tests: int, percent: int) -> int | None:
    come = 0
    for each in classes:
        come += each.tests
        if tests and 100 * come >= percent * tests:
            return each.first if each.first == each.last else None
    return None


def _told(shown: Shown) -> ToldTests:
    """Return of whom the tests of the week are told."""
    areas = shown.nodes.get(TESTS, {})
    france = shown.told(TESTS, FRANCE)
    return ToldTests(
        of_week=frozenset(each for each in areas if shown.told(TESTS, each).tells(Node(WEEK))),
        of_any=frozenset(areas),
        days=all(france.tells(Node(day)) for day in DAYS),
    )


def _sum(days: Iterable[Sequence[int]]) -> list[int]:
    return [sum(each) for each in zip(*days, strict=True)]
