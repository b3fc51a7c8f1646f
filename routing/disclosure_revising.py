"""What a later extraction tells anew of a time: what has come and gone since, as tables. Pure.

Between two revisions nothing of a time changes. At one, the changes since the last are divided into
gains and losses, cell by cell; each is decided as any table is. A number is told anew where both
are told, and where it may be told itself; else it stays as it was told last, for good. Why that
holds for all extractions together, and against whom: ADR 0060.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from schemas.figures import VARIANT_MARKS, Figure, Flag

from .disclosure_cells import (
    FIELDS,
    GROUPS,
    POSITIVES,
    TESTS,
    VARIANTS,
    WEEK,
    Node,
    Shown,
    counts_of,
)
from .disclosure_policy import Policy

CellCounts = Mapping[str, Mapping[str, Sequence[int]]]
"""Department -> age class and sex -> counts."""
Place = tuple[str, str, str, str, str]
"""Area, period, label, age class, sex."""
HELD: Final = {
    TESTS: Flag.TESTS_HELD.value,
    POSITIVES: Flag.POSITIVES_HELD.value,
    VARIANTS: Flag.VARIANTS_HELD.value,
}


class Change(NamedTuple):
    """Figures of what has come, or gone, as they might be told: in the order of those now."""

    gained: Sequence[Figure]
    lost: Sequence[Figure]


def revisions_passed(policy: Policy, age: int) -> int:
    """Return how many ages of revision a week or month has reached, counted from its last day."""
    return sum(age >= max(each, policy.settle_days + 1) for each in policy.revision_days)


def next_revision(policy: Policy, last: int, passed: int) -> int | None:
    """Return the day on which the next revision is due; None: there is none."""
    if passed >= len(policy.revision_days):
        return None
    return last + max(sorted(policy.revision_days)[passed], policy.settle_days + 1)


def differences(
    now: CellCounts, told: CellCounts
) -> tuple[dict[str, dict[str, list[int]]], dict[str, dict[str, list[int]]]]:
    """Return what has come and what has gone, of each finest cell."""
    gains: dict[str, dict[str, list[int]]] = {}
    losses: dict[str, dict[str, list[int]]] = {}
    for department in now.keys() | told.keys():
        ours, theirs = now.get(department, {}), told.get(department, {})
        for name in ours.keys() | theirs.keys():
            one, other = ours.get(name, ()), theirs.get(name, ())
            length = max(len(one), len(other))
            net = [
                mine - before
                for mine, before in zip(
                    (*one, *(0,) * (length - len(one))),
                    (*other, *(0,) * (length - len(other))),
                    strict=True,
                )
            ]
            gains.setdefault(department, {})[name] = [max(0, each) for each in net]
            losses.setdefault(department, {})[name] = [max(0, -each) for each in net]
    return gains, losses


def hold(
    now: Sequence[Figure], last: Mapping[Place, Figure], change: Change | None
) -> list[Figure]:
    """Return figures as they may be told beside what was told of the same before.

    Args:
        now: As they may be told by themselves.
        last: What was told last; a figure that is not in it was not told.
        change: Since then; None: nothing may have changed.
    """
    if change is None:
        return [_held(figure, last.get(place_of(figure)), None) for figure in now]
    return [
        _held(figure, last.get(place_of(figure)), (gained, lost))
        for figure, gained, lost in zip(now, change.gained, change.lost, strict=True)
    ]


def counts_anything(figures: Sequence[Figure]) -> bool:
    """Say whether anybody is in any of some figures."""
    return any(any(counts_of(figure, group)) for figure in figures for group in GROUPS)


def place_of(figure: Figure) -> Place:
    """Return what a figure is of."""
    return figure.area, figure.period, figure.label, figure.age_class, figure.sex


def told_anew(shown: Shown) -> Shown:
    """Return of whom the tests are told as they are now, for what else is told of the same tests.

    Whoever holds a number back would give it away by whatever adds up to it.
    """
    changes = [each for each in (shown.gained, shown.lost) if each is not None]
    areas = {
        area: names
        for area, names in shown.nodes.get(TESTS, {}).items()
        if all(_as_fine(shown, each, area) for each in changes)
    }
    return msgspec.structs.replace(shown, nodes={**shown.nodes, TESTS: areas})


def _as_fine(shown: Shown, change: Shown, area: str) -> bool:
    told, changed = shown.told(TESTS, area), change.told(TESTS, area)
    whole = (Node(WEEK), *(Node(day) for day in "1234567"))
    return all(changed.tells(node) for node in whole if told.tells(node))


def _held(now: Figure, last: Figure | None, change: tuple[Figure, Figure] | None) -> Figure:
    if Flag.CLASSED.value in now.flags:
        return now if last is None else last
    if last is None and change is None:
        return now
    if last is not None and Flag.CLASSED.value in last.flags:
        last = None
    changes: dict[str, object] = {}
    flags: set[str] = set()
    held: set[str] = set()
    for group in GROUPS:
        may = (change is None or all(_tells(each, group) for each in change)) and (
            last is None or HELD[group] not in last.flags
        )
        if last is None:
            if not may:
                changes.update(_nothing(group))
        elif not _tells(last, group):
            changes.update(_nothing(group))
        elif not (may and _tells(now, group)):
            changes.update(_counts(last, group))
            flags.add(HELD[group])
            held.add(group)
    found = msgspec.structs.replace(now, **changes)
    if not all(_tells(found, group) for group in GROUPS):
        flags.add(Flag.SUPPRESSED.value)
    kept = set(now.flags) - {Flag.SUPPRESSED.value}
    found = msgspec.structs.replace(found, flags=tuple(sorted(kept | flags)))
    return _rates(found, last, held)


def _rates(figure: Figure, last: Figure | None, held: set[str]) -> Figure:
    """Return a figure with rates of counts of one time; a class stays what it was."""
    cases, eligible, inhabitants = figure.cases, figure.eligible_persons, figure.population
    positivity: float | None = None
    if {TESTS, POSITIVES} <= held:
        positivity = None if last is None else last.positivity
    elif not held & {TESTS, POSITIVES}:
        positivity = _per(cases, eligible, 100)
    return msgspec.structs.replace(
        figure,
        incidence=_per(cases, inhabitants, 100_000),
        positivity=positivity,
        screening=_per(eligible, inhabitants, 100_000),
        incidence_class=figure.incidence_class if last is None else last.incidence_class,
    )


def _tells(figure: Figure, group: str) -> bool:
    return all(getattr(figure, field) is not None for field in FIELDS[group])


def _counts(figure: Figure, group: str) -> dict[str, object]:
    found: dict[str, object] = {field: getattr(figure, field) for field in FIELDS[group]}
    if group == VARIANTS:
        found["variants"] = figure.variants
    return found


def _nothing(group: str) -> dict[str, object]:
    found: dict[str, object] = dict.fromkeys(FIELDS[group])
    if group == VARIANTS:
        found["variants"] = (None,) * len(VARIANT_MARKS)
    return found


def _per(count: int | None, of: int | None, base: int) -> float | None:
    return None if count is None or not of else round(base * count / of, 2)
