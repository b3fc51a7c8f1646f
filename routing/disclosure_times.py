"""Blocks of time, and who is told by days and who by weeks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from schemas.areas import parent_of
from schemas.figures import ALL_AGES, FRANCE, Figure, Period

from .disclosure_cells import (
    DAYS,
    ELSEWHERE,
    MONTH,
    WEEK,
    counts_of,
    first_day,
    last_day,
    week_label,
)
from .disclosure_policy import Policy


def children_of_all(every: Iterable[str]) -> dict[str, list[str]]:
    """Return the children of each area that has some, parents before children."""
    found: dict[str, list[str]] = {FRANCE: []}
    for area in every:
        parent = parent_of(area)
        if parent:
            found.setdefault(parent, []).append(area)
    found[FRANCE].append(ELSEWHERE)
    return found


def settled_times(block: str, policy: Policy, on: date) -> tuple[str, ...]:
    """Return the times of a block that are old enough to be told below France."""
    last = last_day(block)
    wait = timedelta(days=max(1, policy.settle_days))
    if "-S" not in block:
        return (MONTH,) if last + wait <= on else ()
    first = first_day(block)
    days = tuple(day for at, day in enumerate(DAYS) if first + timedelta(days=at) + wait <= on)
    return (*days, WEEK) if last + wait <= on else days


def told_by_days(
    group: str,
    figures: Iterable[Figure],
    last_week: Sequence[Figure],
    policy: Policy,
    settled: Sequence[str],
) -> tuple[str, ...]:
    """Return the areas that had enough, a day, in the week before; else in this week so far."""
    if not any(any(counts_of(figure, group)) for figure in last_week):
        last_week = ()
    period, days = (Period.WEEK, 7) if last_week else (Period.DAY, 0)
    counts: dict[str, int] = {}
    for figure in last_week or figures:
        if figure.period != period or figure.age_class != ALL_AGES or figure.sex:
            continue
        if not last_week and str(date.fromisoformat(figure.label).isoweekday()) not in settled:
            continue
        counts[figure.area] = counts.get(figure.area, 0) + counts_of(figure, group)[0]
    days = days or len([day for day in settled if day != WEEK])
    enough = policy.daily_from * days
    return tuple(sorted(area for area, count in counts.items() if days and count >= enough))


def block_name(figure: Figure) -> str:
    """Return the week or month of a figure that is of a day, a week or a month."""
    if figure.period == Period.DAY:
        return week_label(date.fromisoformat(figure.label))
    return figure.label
