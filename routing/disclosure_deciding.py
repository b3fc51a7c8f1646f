"""What may be shown of a condition's week: finest cells first tried, then told coarser. Pure.

Each area is told as a set of nodes, never finer than its parent, than the group of counts before,
or than an earlier extraction. A node is split only where each of its parts is nobody or enough.
Then, for each parent, what its children withhold is solved against what is known (the transport
problem of disclosure_flow); where a cell could be shown to be small, a sister tells less (secondary
suppression), until none can. Why this holds for all tables at once: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from schemas.figures import AGE_CLASSES, FRANCE, SEXES

from .disclosure_cells import (
    DAYS,
    ELSEWHERE,
    LIMITS,
    MONTH,
    POSITIVES,
    TESTS,
    WEEK,
    Cells,
    Counts,
    Node,
    Shown,
    Told,
    above,
)
from .disclosure_flow import FREE, UNLIMITED, Limits, Parts, Row, shown_small
from .disclosure_layout import Layout
from .disclosure_levels import Levels
from .disclosure_policy import Policy
from .disclosure_sexes import Known, Sexes

_INNER: Final = {TESTS: POSITIVES}
"""Group -> the group that is a part of it, count by count, and is told by itself: a test of a
positive is at least one, so what is told of positives says how few tests can be elsewhere."""


class Deciding:
    """What areas tell of one block, or of one window: group after group.

    Args:
        cells: The counts.
        policy: What the operator decided.
        before: What an earlier extraction said.
        settled: The times that may be told below France.
        by_month: There is one time, the month.
        within: Of a group and area, whether a node may be told at all.
        most: What the counts cannot exceed, where it is told: no more goes than was there.
    """

    def __init__(
        self,
        cells: Cells,
        policy: Policy,
        before: Shown | None,
        settled: Sequence[str],
        *,
        by_month: bool,
        within: Callable[[str, str, Node], bool] | None = None,
        most: Most | None = None,
    ) -> None:
        self._cells = cells
        self._policy = policy
        self._before = before
        self._settled = settled
        self._by_month = by_month
        self._within = within
        self._most = most
        self._told: dict[str, dict[str, Told]] = {}

    def decide_group(
        self, group: str, daily: frozenset[str], every: Mapping[str, Sequence[str]]
    ) -> None:
        """Decide what all areas tell of a group of counts, parents before children."""
        self._told[group] = told = {}
        told[FRANCE] = self._candidate(group, FRANCE, daily, None)
        sexes = Sexes(
            self._cells, group, told, partial(self._own, group), partial(self._known, group)
        )
        sexes.tell_less(FRANCE, [FRANCE], self._policy)
        for parent, children in every.items():
            for child in children:
                told[child] = self._candidate(group, child, daily, told[parent])
            self._tell_less(group, parent, children)
            sexes.tell_less(parent, children, self._policy)
        if group in LIMITS:
            self._leave_room(group, every)

    def _leave_room(self, group: str, every: Mapping[str, Sequence[str]]) -> None:
        """Let departments tell less where by what they tell a region's cell is small."""
        told = self._told[group]
        levels = Levels(self._cells, group, told, partial(self._own, group), self._policy.threshold)
        measures = range(len(self._cells.of(group, FRANCE, Node(WEEK))))
        finest = [node for node, nobody in told[FRANCE].nodes.items() if not nobody]
        for time in dict.fromkeys(node.time for node in finest):
            columns = [node for node in finest if node.time == time]
            layout = Layout(columns, every[FRANCE], told)
            layout.lay()
            levels.tell_less(layout, every, measures)

    def told(self, group: str, area: str) -> Told:
        """Return what an area tells of a group that was decided."""
        return self._told[group][area]

    def add_totals(self, group: str, every: Mapping[str, Sequence[str]]) -> None:
        """Let areas tell the totals of both sexes over all ages, where all ages are told by sex.

        Unless persons of unknown age are in one of them, and few, or in what follows for those of
        its children that do not tell theirs: then neither is told.
        """
        for time in self._settled:
            both = [Node(time, sex=sex) for sex in SEXES]
            for area, told in self._told[group].items():
                if all(told.tells(total) and total not in told.nodes for total in both):
                    counts = [self._with_unknown(group, area, total) for total in both]
                    if all(map(self._policy.safe, (*counts[0], *counts[1]))):
                        told.totals.update(both)
            for area in reversed(tuple(every)):
                totals = self._told[group][area].totals
                if both[0] not in totals:
                    continue
                rests = [self._rest(group, area, total, every) for total in both]
                if not all(map(self._policy.safe, (*rests[0], *rests[1]))):
                    totals.difference_update(both)

    def _with_unknown(self, group: str, area: str, total: Node) -> Counts:
        """Return the counts of a total of a sex, and those of unknown age in it."""
        counts = self._cells.of(group, area, total)
        ages = [self._cells.of(group, area, total._replace(ages=(age,))) for age in AGE_CLASSES]
        each = zip(counts, zip(*ages, strict=True), strict=True)
        return (*counts, *(count - sum(known) for count, known in each))

    def _rest(
        self, group: str, area: str, total: Node, every: Mapping[str, Sequence[str]]
    ) -> Counts:
        """Return the sums over the parts of an area that do not tell a total."""
        parts = [
            self._rest(group, child, total, every)
            if child in every
            else self._with_unknown(group, child, total)
            for child in every[area]
            if not self._told[group][child].shows(total)
        ]
        return tuple(map(sum, zip(*parts, strict=True)))

    def names(self, group: str) -> dict[str, tuple[str, ...]]:
        """Return the names of what is told, of the areas that tell anything."""
        return {area: told.names() for area, told in self._told[group].items() if told.nodes}

    def _candidate(self, group: str, area: str, daily: frozenset[str], parent: Told | None) -> Told:
        """Return the finest nodes that an area may tell, its sisters left aside."""
        if area == ELSEWHERE:
            return Told()
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
            if self._within is not None and not self._within(group, area, node):
                return False
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
        for columns, asked in coarser:
            self._solve(group, Layout(columns, children, told), asked)
        if coarser:
            # What was closed at a coarser level has changed the finest one.
            self._solve_all(group, finest, children)
        if group in LIMITS and parent != FRANCE:
            self._solve_below(group, parent, children)

    def _solve_below(self, group: str, parent: str, children: Sequence[str]) -> None:
        """Solve what a parent tells less of than France does, as if it told it.

        A limit is a tie between levels: what France less its regions can hold of a column bounds
        the parent, and so what its children can move. So each cell of theirs that is limited must
        be able to rise by what children give each other, whatever is true of the parent.
        """
        told = self._told[group]
        finest = [node for node, nobody in told[FRANCE].nodes.items() if not nobody]
        below = frozenset(
            node
            for node in finest
            if not told[parent].tells(node)
            and all(map(self._policy.safe, self._cells.of(group, parent, node)))
            and any(self._told[LIMITS[group][0]][child].tells(node) for child in children)
        )
        if below:
            self._solve_all(group, finest, children, below)

    def _solve_all(
        self,
        group: str,
        finest: Sequence[Node],
        children: Sequence[str],
        below: frozenset[Node] | None = None,
    ) -> None:
        """Solve day by day, where nobody tells a sum over days."""
        told = self._told[group]
        apart = not any(
            node.time == WEEK and not nobody
            for child in children
            for node, nobody in told[child].nodes.items()
        )
        for times in map(frozenset, DAYS) if apart and not self._by_month else (None,):
            columns = [node for node in finest if times is None or node.time in times]
            asked = None if below is None else frozenset(map(columns.index, below & set(columns)))
            if columns and (asked is None or asked):
                self._solve(group, Layout(columns, children, told), asked)

    def _solve(self, group: str, layout: Layout, asked: frozenset[int] | None) -> None:
        """Close one node after the other until no cell can be shown to be small.

        To tell less never makes a cell small that was not: only what was small is asked again.
        """
        measures = range(len(self._cells.of(group, FRANCE, Node(WEEK))))
        asking = dict.fromkeys(measures, asked)
        given_up: set[tuple[int, Row, int]] = set()
        while asking:
            layout.lay()
            small: list[tuple[int, Row, int, Parts]] = []
            solved: list[tuple[tuple[Known, frozenset[int] | None], list[tuple[Row, int]]]] = []
            for measure, columns in asking.items():
                known = (self._known(group, measure, layout), columns)
                parts, limits, own, inner = known[0]
                found = next((each for other, each in solved if other == known), None)
                if found is None:
                    found = shown_small(
                        parts,
                        self._policy.threshold,
                        limits,
                        asked=columns,
                        own=own,
                        inner=inner,
                    )
                    solved.append((known, found))
                small += [
                    (measure, row, column, parts)
                    for row, column in found
                    if (measure, row, column) not in given_up
                ]
            changed: set[Node] = set()
            for measure, row, column, parts in small:
                node = layout.columns[column]
                split = above(node) or node
                if split not in changed:  # once a round: it may be enough for its neighbours too
                    changed.add(split)
                    sisters = self._sisters(group, measure, layout, column)
                    if not layout.close_one(parts, sisters, row, column):
                        given_up.add((measure, row, column))
            asking = {
                measure: frozenset(each[2] for each in small if each[0] == measure)
                for measure in {each[0] for each in small}
            }

    def _known(self, group: str, measure: int, layout: Layout) -> Known:
        """Return what is known of one count of a group."""
        inner = layout.parts(self._cells, _INNER[group], measure) if group in _INNER else None
        return (
            layout.parts(self._cells, group, measure),
            self._limits(group, measure, layout, is_own=False),
            self._limits(group, measure, layout, is_own=True),
            inner,
        )

    def _own(self, group: str, area: str, node: Node, measure: int) -> int:
        """Return what a count cannot exceed as far as is told of the larger group."""
        if group not in LIMITS:
            return UNLIMITED
        larger, fields = LIMITS[group]
        if not self._told[larger].get(area, Told()).tells(node):
            return UNLIMITED
        return self._cells.of(larger, area, node)[fields[measure]]

    def _sisters(
        self, group: str, measure: int, layout: Layout, column: int
    ) -> list[tuple[int, str]]:
        """Return who tells a column itself, and its count there."""
        node = layout.columns[column]
        return [
            (self._cells.of(group, child, node)[measure], child)
            for child in layout.exact.get(column, ())
        ]

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

    def _limits(self, group: str, measure: int, layout: Layout, *, is_own: bool) -> Limits:
        """Return what counts cannot exceed: positives no more than the tests.

        Tests that are not told are known together: of those that withhold them, and of what each
        tells coarser. So they limit what can be moved as if they were told; but not what is asked
        of its own (`is_own`), unless they are, or follow by subtraction.
        """
        found: Limits = {}
        if group in LIMITS:
            larger, fields = LIMITS[group]
            told = self._told[larger]
            for row, members in layout.members.items():
                of_row = found.setdefault(row, {})
                for column, children in members.items():
                    node = layout.columns[column]
                    of_row[column] = sum(
                        self._cells.of(larger, child, node)[fields[measure]]
                        if not is_own or row == FREE or told[child].tells(node)
                        else UNLIMITED
                        for child in children
                    )
        if self._most is None:
            return found
        return self._most.limits(group, measure, layout, found, is_own=is_own)


class Most:
    """What counts cannot exceed: others, where these are told.

    Args:
        cells: These others.
        shown: What is told of them.
    """

    def __init__(self, cells: Cells, shown: Shown) -> None:
        self._cells = cells
        self._shown = shown
        self._told: dict[tuple[str, str], Told] = {}

    def limits(
        self, group: str, measure: int, layout: Layout, found: Limits, *, is_own: bool
    ) -> Limits:
        """Add its own to other limits; the lower holds."""
        for row, members in layout.members.items():
            of_row = found.setdefault(row, {})
            for column, children in members.items():
                node = layout.columns[column]
                most = sum(
                    self._cells.of(group, child, node)[measure]
                    if not is_own or self._tells(group, child, node)
                    else UNLIMITED
                    for child in children
                )
                of_row[column] = min(most, of_row.get(column, UNLIMITED))
        return found

    def _tells(self, group: str, area: str, node: Node) -> bool:
        told = self._told.get((group, area))
        if told is None:
            told = self._told[group, area] = self._shown.told(group, area)
        return told.tells(node)


def _depth(node: Node) -> int:
    parent = above(node)
    return 0 if parent is None else 1 + _depth(parent)
