"""What children tell of positives must leave their parent room at its own level. Pure.

Positives are at most the tests, so a sum that a department tells can say between what its women and
its men lie, and so between what its region's do, though the region tells neither. A cell of another
region that could rise at the expense of this one then cannot (ADR 0068).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .disclosure_cells import Cells, Node, Told
from .disclosure_flow import Limits, Parts, shown_small
from .disclosure_layout import Layout

Most = Callable[[str, Node, int], int]
"""Of an area, node and measure: what the count cannot exceed as far as is told."""
Culprits = list[tuple[int, str, Node]]
"""A count, the area that tells it, and of which node."""


class Levels:
    """What parents can be of a group, as their children leave it.

    Args:
        cells: The counts.
        group: The group of counts.
        told: Area -> what it tells; it is changed.
        most: What counts cannot exceed.
        threshold: What a count must be able to be.
    """

    def __init__(
        self, cells: Cells, group: str, told: Mapping[str, Told], most: Most, threshold: int
    ) -> None:
        self._cells = cells
        self._group = group
        self._told = told
        self._most = most
        self._threshold = threshold

    def tell_less(
        self, layout: Layout, every: Mapping[str, Sequence[str]], measures: Sequence[int]
    ) -> None:
        """Let grandchildren tell less until none of the children's cells is small by them.

        Args:
            layout: Of the children; it is laid out.
            every: Of each child, its children.
            measures: The counts that are asked of.
        """
        for measure in measures:
            parts = layout.parts(self._cells, self._group, measure)
            while any(
                0 < part < self._threshold for held in parts.values() for part in held.values()
            ):
                least, limits, culprits = self._left(layout, every, measure)
                moved: Parts = {
                    row: {at: part - least.get(row, {}).get(at, 0) for at, part in held.items()}
                    for row, held in parts.items()
                }
                room: Limits = {
                    row: {at: most - least.get(row, {}).get(at, 0) for at, most in held.items()}
                    for row, held in limits.items()
                }
                few = self._small(parts, moved, room)
                mine = [each for column in few for each in culprits.get(column, ())]
                if few and not mine:
                    mine = [each for some in culprits.values() for each in some]
                if not mine:
                    break
                _, area, node = min(mine)
                self._told[area].close(node)

    def _small(self, parts: Parts, moved: Parts, room: Limits) -> list[int]:
        """Return the columns of cells that cannot reach the threshold."""
        found = []
        for row, held in parts.items():
            for column, part in held.items():
                if 0 < part < self._threshold:
                    # What is below the least cannot be taken away, and is no part of what moves.
                    asked = {**moved, row: {**moved[row], column: part}}
                    more = {**room, row: {**room.get(row, {})}}
                    if column in more[row]:
                        more[row][column] += part - moved[row][column]
                    if (row, column) in shown_small(
                        asked, self._threshold, more, asked=frozenset({column})
                    ):
                        found.append(column)
        return found

    def _left(
        self, layout: Layout, every: Mapping[str, Sequence[str]], measure: int
    ) -> tuple[Parts, Limits, dict[int, Culprits]]:
        """Return the least and the most of each part, and who narrows a column."""
        least: Parts = {}
        limits: Limits = {}
        culprits: dict[int, Culprits] = {}
        for row, members in layout.members.items():
            for column, areas in members.items():
                node = layout.columns[column]
                low = high = 0
                for area in areas:
                    own = self._most(area, node, measure)
                    below = self._below(every.get(area, ()), node, measure, layout.columns)
                    lowest = sum(each[0] for each in below)
                    highest = sum(each[1] for each in below) if below else own
                    low += lowest
                    high += min(own, highest)
                    if lowest or highest < own:
                        culprits.setdefault(column, []).extend(
                            each for _, _, some in below for each in some
                        )
                least.setdefault(row, {})[column] = low
                limits.setdefault(row, {})[column] = high
        return least, limits, culprits

    def _below(
        self, children: Sequence[str], node: Node, measure: int, columns: Sequence[Node]
    ) -> list[tuple[int, int, Culprits]]:
        """Return of each child between what its count lies, and what it tells that says so."""
        found: list[tuple[int, int, Culprits]] = []
        for child in children:
            told = self._told[child]
            most = self._most(child, node, measure)
            holder = told.holder(node)
            if holder is None:
                exact = told.tells(node)
                count = self._cells.of(self._group, child, node)[measure]
                found.append((count, count, []) if exact else (0, most, []))
                continue
            total = self._cells.of(self._group, child, holder)[measure]
            if holder == node or told.nodes[holder]:
                count = self._cells.of(self._group, child, node)[measure]
                says = count > 0 or most > 0
                found.append((count, count, [(total, child, holder)] if says else []))
                continue
            others = sum(
                self._most(child, other, measure)
                for other in columns
                if other != node and told.holder(other) == holder
            )
            low, high = max(0, total - others), min(total, most)
            found.append((low, high, [(total, child, holder)] if low or high < most else []))
        return found
