"""Those of a sex who are few in an area, and all of unknown age. Pure.

They are in no cell of the finest level, so nothing that is solved there sees them. But they are in
the area's total of their sex, and that is at most the total less what is known of the other sex: of
11 persons of whom 8 are men in their twenties, at most 3 are women. So some age must leave open
that more of their sex are in it (ADR 0068).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.figures import AGE_CLASSES, SEXES

from .disclosure_cells import DAYS, MONTH, WEEK, Cells, Node, Told
from .disclosure_flow import Limits, Parts, Row, reaching
from .disclosure_layout import Layout
from .disclosure_policy import Policy

Known = tuple[Parts, Limits, Limits, Parts | None]
"""Parts, limits, own limits, and the parts of the inner group."""
_TIMES: Final = (*DAYS, WEEK, MONTH)


class Unseen(NamedTuple):
    """Who is few, and in no age."""

    area: str
    time: str
    sex: str
    measure: int
    few: int


def unseen_of(cells: Cells, policy: Policy, group: str, areas: Sequence[str]) -> list[Unseen]:
    """Return those of each sex who are few in an area and all of unknown age."""
    found = []
    for area in areas:
        for time in _TIMES:
            for sex in SEXES:
                counts = cells.of(group, area, Node(time, sex=sex))
                for measure, count in enumerate(counts):
                    if not policy.safe(count) and not any(
                        cells.of(group, area, Node(time, (age,), sex))[measure]
                        for age in AGE_CLASSES
                    ):
                        found.append(Unseen(area, time, sex, measure, count))
    return found


class Sexes:
    """What areas tell by sex of a group: less, until those of a sex who are few could be enough.

    Args:
        cells: The counts.
        group: The group of counts.
        told: Area -> what it tells; it is changed.
        most: Of an area, node and measure, what the count cannot exceed as far as is told.
        known: Of a measure and a layout, what is known.
    """

    def __init__(
        self,
        cells: Cells,
        group: str,
        told: Mapping[str, Told],
        most: Callable[[str, Node, int], int],
        known: Callable[[int, Layout], Known],
    ) -> None:
        self._cells = cells
        self._group = group
        self._told = told
        self._most = most
        self._known = known

    def tell_less(self, parent: str, children: Sequence[str], policy: Policy) -> None:
        """Let children tell less by sex, one after the other. It ends: each time one does."""
        waiting = unseen_of(self._cells, policy, self._group, children)
        while waiting:
            columns = [node for node, nobody in self._told[parent].nodes.items() if not nobody]
            layout = Layout(columns, children, self._told)
            layout.lay()
            each = waiting[-1]
            before = [list(self._told[child].nodes) for child in children]
            if not self._may_be(each, layout, policy.threshold):
                self._close(each, layout)
            if before == [list(self._told[child].nodes) for child in children]:
                waiting.pop()

    def _may_be(self, each: Unseen, layout: Layout, threshold: int) -> bool:
        """Say whether they could be as many as the threshold, for all that is told."""
        need = threshold - each.few
        parts, limits, own, inner = self._known(each.measure, layout)
        reaches = reaching(parts, limits, own, inner)
        for node in layout.columns:
            if not _at(each, node):
                continue
            if not node.sex:
                # Nothing is told of it by sex: they may all be of this one.
                part = self._cells.of(self._group, each.area, node)[each.measure]
                need -= min(part, self._most(each.area, node._replace(sex=each.sex), each.measure))
        for column, node in enumerate(layout.columns):
            if need > 0 and _at(each, node) and node.sex == each.sex:
                row = _row_of(layout, each.area, column)
                if row is None:
                    continue
                part = parts[row][column]
                if part >= need or reaches(row, column, need - part):
                    return True
        return need <= 0

    def _close(self, each: Unseen, layout: Layout) -> None:
        """Tell less of one age by sex: of the area, else of a sister, else of all ages."""
        told = self._told[each.area]
        split = [node for node in told.nodes if _at(each, node) and node.sex == each.sex]
        counted = [(self._others(each, node), node) for node in split]
        if any(others for others, _ in counted):
            told.close(min(both for both in counted if both[0])[1])
            return
        ages = [
            (self._others(each, node), column)
            for column, node in enumerate(layout.columns)
            if _at(each, node) and node.sex == each.sex
        ]
        parts = self._known(each.measure, layout)[0]
        for others, column in sorted(ages):
            row = _row_of(layout, each.area, column)
            if others and row is not None:
                node = layout.columns[column]
                sisters = [
                    (self._cells.of(self._group, child, node)[each.measure], child)
                    for child in layout.exact.get(column, ())
                ]
                if layout.close_one(parts, sisters, row, column):
                    return
        told.close(Node(each.time))

    def _others(self, each: Unseen, node: Node) -> int:
        """Return how many of the other sex are in the same ages."""
        other = node._replace(sex=next(sex for sex in SEXES if sex != each.sex))
        return self._cells.of(self._group, each.area, other)[each.measure]


def _at(each: Unseen, node: Node) -> bool:
    return node.time == each.time or (each.time == WEEK and node.time in DAYS)


def _row_of(layout: Layout, area: str, column: int) -> Row | None:
    return next(
        (row for row, members in layout.members.items() if area in members.get(column, ())), None
    )
