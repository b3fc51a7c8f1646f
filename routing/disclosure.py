"""Disclosure control: which figures may be shown, so that nobody is singled out. Pure.

What is promised: whatever is shown, of all areas, ages, sexes, days, weeks and extractions
together, nobody can show of any cell that somebody is in it and fewer than `threshold`. How, and
what is not promised: docs/disclosure.md, ADR 0045.

Two steps. `decide` looks at one condition and ISO week as a whole (or month, of a condition that is
declared anonymously) and says what may be shown; that is kept with the extraction. `protect`
applies it to whatever figures are asked for: a slice of a table is withheld exactly as the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec

from schemas.areas import inhabitants_of
from schemas.figures import AGE_CLASSES, ALL_AGES, VARIANT_MARKS, Figure, Flag, Period

from .disclosure_blocks import decide
from .disclosure_cells import (
    DAYS,
    FIELDS,
    GROUPS,
    MONTH,
    POSITIVES,
    TESTS,
    VARIANTS,
    WEEK,
    WINDOW_GROUPS,
    Node,
    Shown,
    Told,
    counts_of,
    week_label,
)
from .disclosure_policy import Policy

__all__ = ["Block", "Policy", "Shown", "blocks_of", "class_of", "decide", "protect"]

Block = tuple[str, str]
"""Condition, and ISO week or month."""
_DAYS: Final = 7
_NO_VARIANTS: Final = (None,) * len(VARIANT_MARKS)
"""Where they are withheld; as many for who had nobody screened as for who had a few."""
_RATES: Final = {
    "incidence": (POSITIVES,),
    "positivity": (TESTS, POSITIVES),
    "screening": (TESTS,),
}


def blocks_of(figure: Figure) -> tuple[str, ...]:
    """Return the blocks that say whether a figure may be shown: `2026-S10`, or `2026-03`.

    One of them; of seven days that end before a Sunday, two.
    """
    return tuple(block for block, _ in _parts(figure))


def protect(
    figures: Sequence[Figure], policy: Policy, published: Mapping[Block, Shown]
) -> list[Figure]:
    """Return figures as they may be shown: what is withheld is None, and flagged.

    A figure of a block that is not in `published` is withheld. Give figures before their rates are
    made, or with them: a rate goes with the counts that it is made of. Rounding comes last, so a
    rate must be made of what this returns.
    """
    if not policy.protects:
        return [_rounded(figure, policy) for figure in figures]
    sights = {block: _Sight(shown) for block, shown in published.items()}
    return [_protected(figure, policy, sights) for figure in figures]


def class_of(rate: float, limits: Sequence[int]) -> str:
    """Return the class of a rate, as `[20;50[`; the last one is `[1000;Max]`."""
    for low, high in pairwise(limits):
        if rate < high:
            return f"[{low};{high}["
    return f"[{limits[-1]};Max]"


class _Sight:
    """What a block shows, ready to be asked."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._told: dict[tuple[str, str], Told] = {}
        self._answers: dict[tuple[str, str, Node], bool] = {}
        self._windows: dict[str, _Sight] = {}
        self.lowest = frozenset(shown.lowest)

    def tells_window(self, group: str, area: str, node: Node) -> bool:
        """Say whether a node of the seven days that end on its time is shown."""
        sight = self._windows.get(node.time)
        if sight is None:
            sight = self._windows[node.time] = _Sight(self._shown.window(node.time))
        return sight.tells(group, area, node._replace(time=MONTH))

    def tells(self, group: str, area: str, node: Node) -> bool:
        """Say whether a node is shown."""
        answer = self._answers.get((group, area, node))
        if answer is None:
            if (group, area) not in self._told:
                self._told[group, area] = self._shown.told(group, area)
            answer = self._told[group, area].shows(node)
            self._answers[group, area, node] = answer
        return answer


def _parts(figure: Figure) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the blocks of a figure, and the times of each that it is the sum of."""
    return _times_of(figure.period, figure.label)


@lru_cache(maxsize=4096)
def _times_of(period: str, label: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if period in {Period.WEEK, Period.MONTH}:
        return ((label, (WEEK if period == Period.WEEK else MONTH,)),)
    last = date.fromisoformat(label)
    weekday = last.isoweekday()
    if period == Period.DAY:
        return ((week_label(last), (str(weekday),)),)
    if weekday == _DAYS:
        return ((week_label(last), (WEEK,)),)
    earlier = tuple(str(day) for day in range(weekday + 1, _DAYS + 1))
    return (
        (week_label(last - timedelta(days=6)), earlier),
        (week_label(last), tuple(str(day) for day in range(1, weekday + 1))),
    )


def _end_of(figure: Figure) -> str:
    """Return the weekday on which a window ends; empty of a day and a month."""
    if figure.period == Period.WEEK:
        return DAYS[-1]
    if figure.period != Period.SEVEN_DAYS:
        return ""
    return str(date.fromisoformat(figure.label).isoweekday())


def _protected(figure: Figure, policy: Policy, sights: Mapping[Block, _Sight]) -> Figure:
    ages = AGE_CLASSES if figure.age_class == ALL_AGES else (figure.age_class,)
    withheld = set()
    parts = _parts(figure)
    for group in GROUPS:
        if not all(map(policy.safe, counts_of(figure, group))):
            withheld.add(group)  # whatever was decided, and on whatever counts
            continue
        for block, times in parts:
            sight = sights.get((figure.condition, block))
            if sight is None or not all(
                sight.tells(group, figure.area, Node(time, ages, figure.sex)) for time in times
            ):
                withheld.add(group)
                break
        ends = _end_of(figure)
        if ends and group in WINDOW_GROUPS and group not in withheld:
            sight = sights[figure.condition, parts[-1][0]]
            if not sight.tells_window(group, figure.area, Node(ends, ages, figure.sex)):
                withheld.add(group)
    if withheld:
        figure = _without(figure, withheld)
        if POSITIVES in withheld and parts[-1][1] == (WEEK,) and figure.age_class == ALL_AGES:
            sight = sights.get((figure.condition, parts[-1][0]))
            if sight is not None and not figure.sex and figure.area in sight.lowest:
                lowest = class_of(0, policy.incidence_classes)
                figure = msgspec.structs.replace(figure, incidence_class=lowest)
    if policy.class_below > 0 and inhabitants_of(figure.area) < policy.class_below:
        return _classed(figure, policy)
    return _rounded(figure, policy)


def _without(figure: Figure, groups: Iterable[str]) -> Figure:
    changes: dict[str, object] = {}
    for group in groups:
        changes.update(dict.fromkeys(FIELDS[group]))
        if group == VARIANTS:
            changes["variants"] = _NO_VARIANTS
    for rate, needed in _RATES.items():
        if set(needed) & set(groups):
            changes[rate] = None
            changes[f"{rate}_class"] = ""
    return _flagged(figure, Flag.SUPPRESSED, changes)


def _classed(figure: Figure, policy: Policy) -> Figure:
    """Return rates as classes and no counts."""
    changes: dict[str, object] = dict.fromkeys(
        (*(field for group in GROUPS for field in FIELDS[group]), *_RATES)
    )
    changes["variants"] = _NO_VARIANTS
    cases, eligible, inhabitants = figure.cases, figure.eligible_persons, figure.population
    if cases is not None and inhabitants:
        changes["incidence_class"] = class_of(
            100_000 * cases / inhabitants, policy.incidence_classes
        )
    if cases is not None and eligible:
        changes["positivity_class"] = class_of(100 * cases / eligible, policy.positivity_classes)
    if eligible is not None and inhabitants:
        changes["screening_class"] = class_of(
            100_000 * eligible / inhabitants, policy.screening_classes
        )
    return _flagged(figure, Flag.CLASSED, changes)


def _rounded(figure: Figure, policy: Policy) -> Figure:
    base = policy.rounding
    if base <= 1:
        return figure
    changes: dict[str, object] = dict.fromkeys(_RATES)
    for group in GROUPS:
        for field in FIELDS[group]:
            changes[field] = _to(getattr(figure, field), base)
    changes["variants"] = tuple(_to(count, base) for count in figure.variants)
    return _flagged(figure, Flag.ROUNDED, changes)


def _to(count: int | None, base: int) -> int | None:
    return None if count is None else (2 * count + base) // (2 * base) * base


def _flagged(figure: Figure, flag: Flag, changes: Mapping[str, object]) -> Figure:
    flags = tuple(sorted({*figure.flags, flag.value}))
    return msgspec.structs.replace(figure, **changes, flags=flags)
