"""Who tells what of the cells of a parent: the rows and columns of a transport problem. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .disclosure_cells import Cells, Node, Told
from .disclosure_flow import FREE, Parts, Row


class Layout:
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
