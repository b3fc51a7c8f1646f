"""What may be shown of a condition's week: finest cells first tried, then told coarser. Pure.

Each area is told as a set of nodes, never finer than its parent, than the group of counts before,
or than an earlier extraction. A node is split only where each of its parts is nobody or enough.
Then, for each parent, what its children withhold is solved against what is known (the transport
problem of disclosure_flow); where a cell could be shown to be small, a sister tells less (secondary
suppression), until none can. Why this holds for all tables at once: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta

from schemas.areas import areas, parent_of
from schemas.figures import ALL_AGES, FRANCE, Figure, Period

from .disclosure_cells import (
    DAYS,
    GROUPS,
    LIMITS,
    MONTH,
    POSITIVES,
    WEEK,
    Cells,
    Counts,
    Node,
    Shown,
    Told,
    above,
    counts_of,
    first_day,
    last_day,
    week_label,
)
from .disclosure_flow import FREE, UNLIMITED, Parts, Row, shown_small
from .disclosure_policy import Policy

Limits = dict[Row, dict[int, int]]
"""Row -> column -> what a part cannot exceed."""


def decide(
    figures: Sequence[Figure],
    policy: Policy,
    on: date,
    before: Shown | None = None,
    last_week: Sequence[Figure] = (),
) -> Shown:
    """Say what may be shown of a condition's week, or month.

    Args:
        figures: All of it, at least one: `day` figures of its seven days and its `week` figures (of
            a month: its `month` figures), of every area, age class and sex with their margins, as
            counted. An area without figures has nobody.
        policy: What the operator decided.
        on: The day of the extraction. Days from then on, and a week that is not over, wait.
        before: What an earlier extraction said of this block: what was withheld stays withheld.
        last_week: The `week` figures of the week before; they say who is told by days.
    """
    block = _block(figures[0])
    by_month = "-S" not in block
    settled = _settled(block, policy, on)
    cells = Cells(figures)
    deciding = _Deciding(cells, policy, before, settled, by_month=by_month)
    every = _children(areas())
    daily, nodes = {}, {}
    for group in GROUPS:
        daily[group] = (
            before.daily.get(group, ())
            if before is not None
            else _by_days(group, figures, last_week, policy, settled)
        )
        deciding.decide_group(group, frozenset(daily[group]), every)
        nodes[group] = deciding.names(group)
        deciding.add_young(nodes[group], group, block, on)
    return Shown(
        condition=figures[0].condition,
        block=block,
        decided=tuple(sorted({*settled, *(before.decided if before is not None else ())})),
        daily=daily,
        nodes=nodes,
        lowest=() if by_month or WEEK not in settled else deciding.lowest(figures, every),
    )


class _Deciding:
    def __init__(
        self,
        cells: Cells,
        policy: Policy,
        before: Shown | None,
        settled: Sequence[str],
        *,
        by_month: bool,
    ) -> None:
        self._cells = cells
        self._policy = policy
        self._before = before
        self._settled = settled
        self._by_month = by_month
        self._told: dict[str, dict[str, Told]] = {}

    def decide_group(
        self, group: str, daily: frozenset[str], every: Mapping[str, Sequence[str]]
    ) -> None:
        """Decide what all areas tell of a group of counts, parents before children."""
        self._told[group] = told = {}
        told[FRANCE] = self._candidate(group, FRANCE, daily, None)
        for parent, children in every.items():
            for child in children:
                told[child] = self._candidate(group, child, daily, told[parent])
            self._tell_less(group, parent, children)

    def names(self, group: str) -> dict[str, tuple[str, ...]]:
        """Return the names of what is told, of the areas that tell anything."""
        return {area: told.names() for area, told in self._told[group].items() if told.nodes}

    def add_young(
        self, names: dict[str, tuple[str, ...]], group: str, block: str, on: date
    ) -> None:
        """Let France tell its total of the days that are not settled, and nobody anything else."""
        if self._by_month:
            return
        young = []
        for at, day in enumerate(DAYS):
            node = Node(day)
            counts = self._cells.of(group, FRANCE, node)
            past = first_day(block) + timedelta(days=at) <= on
            if past and day not in self._settled and all(map(self._policy.safe, counts)):
                young.append(node.key)
        names[FRANCE] = (*names.get(FRANCE, ()), *young)

    def lowest(
        self, figures: Iterable[Figure], every: Mapping[str, Sequence[str]]
    ) -> tuple[str, ...]:
        """Return the areas that get the lowest class of incidence in place of a number.

        All that a parent's children withhold of the week must be in it, else its absence would
        tell of one that it is not; and it must be wide enough to tell nothing of a small count.
        """
        limit, least = self._policy.incidence_classes[1], 2 * self._policy.threshold - 2
        low, withheld = set(), set()
        for figure in figures:
            if figure.period != Period.WEEK or figure.age_class != ALL_AGES or figure.sex:
                continue
            if self._told[POSITIVES].get(figure.area, Told()).tells(Node(WEEK)):
                continue
            withheld.add(figure.area)
            inhabitants = figure.population or 0
            widest = (limit * inhabitants - 1) // 100_000
            if widest >= least and (figure.cases or 0) * 100_000 < limit * inhabitants:
                low.add(figure.area)
        found: list[str] = []
        for children in every.values():
            closed = withheld.intersection(children)
            if closed <= low:
                found.extend(closed)
        return tuple(sorted(found))

    def _candidate(self, group: str, area: str, daily: frozenset[str], parent: Told | None) -> Told:
        """Return the finest nodes that an area may tell, its sisters left aside."""
        if self._by_month:
            roots: Sequence[str] = (MONTH,)
        else:
            roots = DAYS if area == FRANCE or area in daily else (WEEK,)
        allowed = self._allowed(group, area, parent)
        told = Told()
        for time in roots:
            root = Node(time)
            counts = self._cells.of(group, area, root)
            if time in self._settled and all(map(self._policy.safe, counts)) and allowed(root):
                self._grow(group, area, root, allowed, told)
        return told

    def _grow(
        self, group: str, area: str, node: Node, allowed: Callable[[Node], bool], told: Told
    ) -> None:
        nobody = not any(self._cells.of(group, area, node))
        for split in () if nobody else node.splits():
            if all(
                all(map(self._policy.safe, self._cells.of(group, area, part))) and allowed(part)
                for part in split
            ):
                for part in split:
                    self._grow(group, area, part, allowed, told)
                return
        told.tell(node, nobody=nobody)

    def _allowed(self, group: str, area: str, parent: Told | None) -> Callable[[Node], bool]:
        """Return what says whether a node is no finer than what it must not be finer than."""
        bounds = [] if parent is None else [parent]
        if group in LIMITS:
            bounds.append(self._told[LIMITS[group][0]].get(area, Told()))
        earlier = None if self._before is None else self._before.told(group, area)
        decided = () if self._before is None else self._before.decided

        def allowed(node: Node) -> bool:
            if earlier is not None and node.time in decided and not earlier.tells(node):
                return False
            return all(bound.tells(node) for bound in bounds)

        return allowed

    def _tell_less(self, group: str, parent: str, children: Sequence[str]) -> None:
        """Let children tell less until no cell of theirs can be shown to be small."""
        told = self._told[group]
        every = list(told[parent].nodes)
        finest = [node for node in every if not told[parent].nodes[node]]
        self._solve_all(group, finest, children)
        coarser = self._of_unknown(group, every, children)
        if not coarser:
            return
        for columns, asked in coarser:
            self._solve(group, _Layout(columns, children, told), asked)
        # What was closed at a coarser level has changed the finest one.
        self._solve_all(group, finest, children)

    def _solve_all(self, group: str, finest: Sequence[Node], children: Sequence[str]) -> None:
        """Solve day by day, where nobody tells a sum over days."""
        told = self._told[group]
        apart = not any(
            node.time == WEEK and not nobody
            for child in children
            for node, nobody in told[child].nodes.items()
        )
        for times in map(frozenset, DAYS) if apart and not self._by_month else (None,):
            columns = [node for node in finest if times is None or node.time in times]
            if columns:
                self._solve(group, _Layout(columns, children, told), None)

    def _solve(self, group: str, layout: _Layout, asked: frozenset[int] | None) -> None:
        given_up: set[tuple[int, Row, int]] = set()
        found = True
        while found:
            found = False
            layout.lay()
            solved: list[tuple[Parts, Limits]] = []
            for measure in range(len(self._cells.of(group, FRANCE, Node(WEEK)))):
                parts = layout.parts(self._cells, group, measure)
                limits = self._limits(group, measure, layout)
                if (parts, limits) in solved:
                    continue
                solved.append((parts, limits))
                for row, column in shown_small(parts, self._policy.threshold, limits, asked):
                    if (measure, row, column) in given_up:
                        continue
                    found = True
                    node = layout.columns[column]
                    sisters = [
                        (self._cells.of(group, child, node)[measure], child)
                        for child in layout.exact.get(column, ())
                    ]
                    if not layout.close_one(parts, sisters, row, column):
                        given_up.add((measure, row, column))

    def _of_unknown(
        self, group: str, finest: Sequence[Node], children: Sequence[str]
    ) -> list[tuple[list[Node], frozenset[int]]]:
        """Return the coarser levels at which some child has a few, all of unknown age or sex.

        They are in no column of the finest level, so that level does not see them.
        """
        levels: dict[int, dict[Node, None]] = {}
        wider: dict[Node, list[Node]] = {}
        for node in finest:
            parent = above(node)
            while parent is not None:
                wider.setdefault(parent, []).append(node)
                parent = above(parent)
        for node, parts in wider.items():
            for child in children:
                counts = self._cells.of(group, child, node)
                if all(map(self._policy.safe, counts)):
                    continue
                below = [self._cells.of(group, child, part) for part in parts]
                if any(
                    not self._policy.safe(count) and not any(part[at] for part in below)
                    for at, count in enumerate(counts)
                ):
                    levels.setdefault(_depth(node), {})[node] = None
                    break
        found = []
        for depth, nodes in sorted(levels.items(), reverse=True):
            others = [node for node in wider if _depth(node) == depth and node not in nodes]
            short = [node for node in finest if _depth(node) <= depth]
            found.append(([*nodes, *others, *short], frozenset(range(len(nodes)))))
        return found

    def _limits(self, group: str, measure: int, layout: _Layout) -> Limits:
        """Return what counts cannot exceed: positives no more than the tests that are told.

        Of those that tell nothing, no more than their tests together: these follow by subtraction.
        """
        if group not in LIMITS:
            return {}
        larger, fields = LIMITS[group]
        told = self._told[larger]
        found: Limits = {}
        for row, members in layout.members.items():
            of_row = found.setdefault(row, {})
            for column, children in members.items():
                node = layout.columns[column]
                of_row[column] = sum(
                    self._cells.of(larger, child, node)[fields[measure]]
                    if row == FREE or told[child].tells(node)
                    else UNLIMITED
                    for child in children
                )
        return found


class _Layout:
    """Who tells what of the cells of a parent: rows and columns of the transport problem."""

    def __init__(
        self, columns: Sequence[Node], children: Sequence[str], told: Mapping[str, Told]
    ) -> None:
        self.columns = columns
        self._children = children
        self._told = told
        self.members: dict[Row, dict[int, list[str]]] = {}
        self.exact: dict[int, list[str]] = {}

    def lay(self) -> None:
        """Lay it out as things are told now."""
        self.members, self.exact = {}, {}
        for child in self._children:
            told = self._told[child]
            for column, node in enumerate(self.columns):
                holder = told.holder(node)
                if holder is None and not told.tells(node):
                    row = FREE
                elif holder is not None and holder != node and not told.nodes[holder]:
                    row = (child, holder.key)
                else:
                    self.exact.setdefault(column, []).append(child)
                    continue
                self.members.setdefault(row, {}).setdefault(column, []).append(child)

    def parts(self, cells: Cells, group: str, measure: int) -> Parts:
        """Return the truth of one count, of everything that is not told part by part."""
        return {
            row: {
                column: sum(
                    cells.of(group, child, self.columns[column])[measure] for child in children
                )
                for column, children in members.items()
            }
            for row, members in self.members.items()
        }

    def close_one(
        self, parts: Parts, sisters: Sequence[tuple[int, str]], row: Row, column: int
    ) -> bool:
        """Close what tells of a column: a sister's cell, else a row's sum. False: nothing does.

        What was closed since this was laid out needs no closing: it is laid out again.
        """
        node = self.columns[column]
        for count, child in sorted(sisters):
            if count and self._told[child].tells(node):
                self._told[child].close(node)
                return True
        rows = [each for each, held in parts.items() if column in held and each != FREE]
        if not rows:
            return any(count for count, _ in sisters)
        child, key = row if row in rows else min(rows, key=lambda at: (sum(parts[at].values()), at))
        held = next((each for each in self._told[child].nodes if each.key == key), None)
        if held is not None:
            self._told[child].close(held)
        return True


def _depth(node: Node) -> int:
    parent = above(node)
    return 0 if parent is None else 1 + _depth(parent)


def _children(every: Iterable[str]) -> dict[str, list[str]]:
    """Return the children of each area that has some, parents before children."""
    found: dict[str, list[str]] = {FRANCE: []}
    for area in every:
        parent = parent_of(area)
        if parent:
            found.setdefault(parent, []).append(area)
    return found


def _settled(block: str, policy: Policy, on: date) -> tuple[str, ...]:
    last = last_day(block)
    wait = timedelta(days=max(1, policy.settle_days))
    if "-S" not in block:
        return (MONTH,) if last + wait <= on else ()
    first = first_day(block)
    days = tuple(day for at, day in enumerate(DAYS) if first + timedelta(days=at) + wait <= on)
    return (*days, WEEK) if last + wait <= on else days


def _by_days(
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
        counts[figure.area] = counts.get(figure.area, 0) + _main(counts_of(figure, group))
    days = days or len([day for day in settled if day != WEEK])
    enough = policy.daily_from * days
    return tuple(sorted(area for area, count in counts.items() if days and count >= enough))


def _main(counts: Counts) -> int:
    return counts[0]


def _block(figure: Figure) -> str:
    if figure.period == Period.DAY:
        return week_label(date.fromisoformat(figure.label))
    return figure.label
