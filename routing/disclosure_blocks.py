"""What may be shown of a condition's week or month: its days, then its windows. Pure.

Tests of seven days are the sum of the days. Persons are not: who is tested twice is one person, and
in one place. So the persons of a week, or of seven days, are a table of their own: it is decided as
a month is, of no more than what the days tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

import msgspec

from schemas.areas import areas
from schemas.figures import ALL_AGES, FRANCE, Figure, Period

from .disclosure_cells import (
    DAYS,
    GROUPS,
    MONTH,
    POSITIVES,
    WEEK,
    WINDOW_GROUPS,
    Cells,
    Node,
    Shown,
    first_day,
)
from .disclosure_deciding import Deciding, Most
from .disclosure_policy import Policy
from .disclosure_times import block_name, children_of_all, settled_times, told_by_days

Nodes = dict[str, dict[str, tuple[str, ...]]]
"""Group -> area -> names of nodes."""
Children = Mapping[str, Sequence[str]]


def decide(  # noqa: PLR0917
    figures: Sequence[Figure],
    policy: Policy,
    on: date,
    before: Shown | None = None,
    last_week: Sequence[Figure] = (),
    most: tuple[Sequence[Figure], Shown] | None = None,
) -> Shown:
    """Say what may be shown of a condition's week, or month.

    Args:
        figures: All of it, at least one: `day` figures of its seven days, its `week` figures and
            the `7days` figures that end in it (of a month: its `month` figures), of every area, age
            class and sex with their margins, as counted. An area without figures has nobody; seven
            days without figures are not shown.
        policy: What the operator decided.
        on: The day of the extraction. Days from then on, and a week that is not over, wait.
        before: What an earlier extraction said of this block: what was withheld stays withheld.
        last_week: The `week` figures of the week before; they say who is told by days.
        most: Figures of the same cells that these cannot exceed, and what is told of them.
    """
    whole = [figure for figure in figures if figure.period != Period.SEVEN_DAYS]
    block = block_name(whole[0])
    by_month = "-S" not in block
    settled = settled_times(block, policy, on)
    cells = Cells(whole)
    bound = None if most is None else Most(Cells(most[0]), most[1])
    deciding = Deciding(cells, policy, before, settled, by_month=by_month, most=bound)
    every = children_of_all(areas())
    daily, nodes = {}, {}
    for group in GROUPS:
        daily[group] = (
            before.daily.get(group, ())
            if before is not None
            else told_by_days(group, whole, last_week, policy, settled)
        )
        deciding.decide_group(group, frozenset(daily[group]), every)
        deciding.add_totals(group, every)
        nodes[group] = deciding.names(group)
        if not by_month and not policy.holds:
            young = _young(cells, group, block, on, settled, policy)
            nodes[group][FRANCE] = (*nodes[group].get(FRANCE, ()), *young)
    windows = {} if by_month else _windows(figures, policy, before, settled, deciding, most)
    shown = Shown(
        condition=whole[0].condition,
        block=block,
        decided=tuple(sorted({*settled, *(before.decided if before is not None else ())})),
        daily=daily,
        nodes=nodes,
        windows=windows,
    )
    if by_month or WEEK not in settled:
        return shown
    return msgspec.structs.replace(shown, lowest=_lowest(shown, whole, policy, every))


def _windows(  # noqa: PLR0917
    figures: Iterable[Figure],
    policy: Policy,
    before: Shown | None,
    settled: Sequence[str],
    days: Deciding,
    most: tuple[Sequence[Figure], Shown] | None,
) -> dict[str, Nodes]:
    """Return what may be told of the persons of the windows that end in a week."""
    by_end, most_by_end = _by_end(figures), _by_end(() if most is None else most[0])
    every = children_of_all(areas())
    first_untold: dict[tuple[str, str, Node], int] = {}

    def within(end: str, group: str, area: str, node: Node) -> bool:
        told = days.told(group, area)
        if end == DAYS[-1]:
            return told.tells(node._replace(time=WEEK))
        at = first_untold.get((group, area, node))
        if at is None:
            untold = (i for i, day in enumerate(DAYS) if not told.tells(node._replace(time=day)))
            at = first_untold[group, area, node] = next(untold, len(DAYS))
        return at >= int(end)

    found: dict[str, Nodes] = {}
    for end, some in sorted(by_end.items()):
        if (WEEK if end == DAYS[-1] else end) not in settled:
            continue
        earlier = before.window(end) if before is not None and end in before.windows else None
        deciding = Deciding(
            Cells(some, is_window=True),
            policy,
            earlier,
            (MONTH,),
            by_month=True,
            within=partial(within, end),
            most=None
            if most is None
            else Most(Cells(most_by_end[end], is_window=True), most[1].window(end)),
        )
        found[end] = {}
        for group in WINDOW_GROUPS:
            deciding.decide_group(group, frozenset(), every)
            deciding.add_totals(group, every)
            found[end][group] = deciding.names(group)
    return found


def _by_end(figures: Iterable[Figure]) -> dict[str, list[Figure]]:
    """Return the figures of windows by the weekday on which they end."""
    by_end: dict[str, list[Figure]] = {}
    for figure in figures:
        if figure.period == Period.WEEK:
            by_end.setdefault(DAYS[-1], []).append(figure)
        elif figure.period == Period.SEVEN_DAYS:
            end = str(date.fromisoformat(figure.label).isoweekday())
            if end != DAYS[-1]:
                by_end.setdefault(end, []).append(figure)
    return by_end


def _young(  # noqa: PLR0917
    cells: Cells, group: str, block: str, on: date, settled: Sequence[str], policy: Policy
) -> list[str]:
    """Return the nodes of France's totals of the days that are not settled."""
    young = []
    for at, day in enumerate(DAYS):
        node = Node(day)
        counts = cells.of(group, FRANCE, node)
        past = first_day(block) + timedelta(days=at) <= on
        if past and day not in settled and all(map(policy.safe, counts)):
            young.append(node.key)
    return young


def _lowest(
    shown: Shown, figures: Iterable[Figure], policy: Policy, every: Children
) -> tuple[str, ...]:
    """Return the areas that get the lowest class of incidence in place of a number.

    Only where that says nothing new: all that is withheld, which follows by subtraction, would be
    in the lowest class if it were this area's alone. Else the class is one more limit: two areas of
    at most 11 cases, 22 together, have 11 each (ADR 0068).
    """
    limit, window = policy.incidence_classes[1], shown.window(DAYS[-1])
    weeks = {
        figure.area: figure
        for figure in figures
        if figure.period == Period.WEEK and figure.age_class == ALL_AGES and not figure.sex
    }
    told = {
        area
        for area in weeks
        if shown.told(POSITIVES, area).tells(Node(WEEK))
        and window.told(POSITIVES, area).tells(Node(MONTH))
    }
    if FRANCE not in told:
        return ()
    cases = {area: figure.cases or 0 for area, figure in weeks.items()}
    found: list[str] = []
    withheld: dict[str, int] = {}
    for parent, children in every.items():
        if parent in told:
            rest = cases[parent] - sum(cases[child] for child in children if child in told)
        else:  # its own number is one of those that its parent's rest is the sum of
            rest = withheld.get(parent, 0)
        withheld.update(dict.fromkeys(children, rest))
        found.extend(
            child
            for child in children
            if child in weeks
            and child not in told
            and rest * 100_000 < limit * (weeks[child].population or 0)
        )
    return tuple(sorted(found))
