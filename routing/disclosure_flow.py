"""What whoever knows some sums can tell of their parts: a transport problem, solved exactly. Pure.

Of an area, each cell of its parent is split among the parent's children. Known are the sum of each
column (the parent's cell, less the children that tell that cell themselves) and of each row (what a
child tells of several columns together). Who tells nothing of a column is in its one *free* row,
whose sum is not known. The most that a part can be is found by augmenting paths (Ford and
Fulkerson 1956) from the truth, which always is one solution.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

FREE: Final = ("", "")
"""The row of all that tell nothing of a column."""
UNLIMITED: Final = 1 << 40

Row = tuple[str, str]
"""Child and the name of the node that it tells."""
Parts = dict[Row, dict[int, int]]
"""Row -> column -> the true part."""
Limits = dict[Row, dict[int, int]]
"""Row -> column -> what a part cannot exceed."""


Columns = dict[int, list[Row]]


def shown_small(
    parts: Parts,
    threshold: int,
    limits: Mapping[Row, Mapping[int, int]],
    *,
    asked: frozenset[int] | None = None,
    own: Mapping[Row, Mapping[int, int]] | None = None,
    inner: Parts | None = None,
) -> list[tuple[Row, int]]:
    """Return the parts that can be shown to hold somebody and fewer than `threshold`.

    Args:
        parts: The truth, of everything that is not told part by part; zeros stand in it too.
        threshold: What a part must be able to be, for all that anybody knows.
        limits: What a part cannot exceed for another reason; a row that is not in it has none.
        asked: The columns that are asked of; None: all.
        own: What a part is known not to exceed when it is asked of itself; None: its limit.
        inner: How many of each part are known by a table of their own (of tests, the positives):
            they are moved among themselves, and so are the others, that both tables stay true.
    """
    reaches = reaching(parts, limits, own, inner)
    return [
        (row, column)
        for row, held in parts.items()
        for column, part in held.items()
        if 0 < part < threshold
        and (asked is None or column in asked)
        and not reaches(row, column, threshold - part)
    ]


def reaching(
    parts: Parts,
    limits: Mapping[Row, Mapping[int, int]],
    own: Mapping[Row, Mapping[int, int]] | None,
    inner: Parts | None,
) -> Callable[[Row, int, int], bool]:
    """Return what says whether a part can be so much more; arguments as of `shown_small`."""
    kinds = [parts] if not inner else [_less(parts, inner), _less(parts, _less(parts, inner))]
    solving = [_Solving(each, limits, limits if own is None else own) for each in kinds]

    def reaches(row: Row, column: int, more: int) -> bool:
        for each in solving:
            more -= each.rise(row, column, more)
            if more <= 0:
                return True
        return False

    return reaches


def _less(parts: Parts, others: Parts) -> Parts:
    """Return parts without others of theirs; none is below zero."""
    return {
        row: {column: max(0, part - others[row][column]) for column, part in held.items()}
        for row, held in parts.items()
    }


class _Solving:
    def __init__(
        self,
        parts: Parts,
        limits: Mapping[Row, Mapping[int, int]],
        own: Mapping[Row, Mapping[int, int]],
    ) -> None:
        self._own = own
        self._parts = {row: dict(held) for row, held in parts.items()}
        self._limits = limits
        self._columns: Columns = {}
        for row, held in parts.items():
            for column in held:
                self._columns.setdefault(column, []).append(row)

    def rise(self, row: Row, column: int, most: int) -> int:
        """Return by how much a part could be more, up to `most`, while all known sums stay."""
        more = most
        done: list[tuple[list[tuple[Row, int]], int]] = []
        while more > 0:
            path = self._short(row, column) or self._path(row, column)
            if path is None:
                break
            step = min(
                more,
                self._own.get(row, {}).get(column, UNLIMITED) - self._parts[row][column],
                *(self._parts[each][at] for each, at in path[::2]),
                *(self._room(each, at) for each, at in path[1::2]),
            )
            if step <= 0:
                break
            self._move(row, column, path, step)
            done.append((path, step))
            more -= step
        for path, step in done:
            self._move(row, column, path, -step)
        return most - more

    def _move(self, row: Row, column: int, path: list[tuple[Row, int]], step: int) -> None:
        self._parts[row][column] += step
        for each, at in path[::2]:
            self._parts[each][at] -= step
        for each, at in path[1::2]:
            self._parts[each][at] += step

    def _room(self, row: Row, column: int) -> int:
        limits = self._limits.get(row)
        if limits is None:
            return UNLIMITED
        return limits.get(column, UNLIMITED) - self._parts[row][column]

    def _short(self, row: Row, column: int) -> list[tuple[Row, int]] | None:
        """Return the path of two takes, which nearly always is there."""
        own = self._parts[row]
        for taker in self._columns[column]:
            held = self._parts[taker]
            if taker == row or held[column] <= 0:
                continue
            for at, part in own.items():
                if part > 0 and at != column and at in held and self._room(taker, at) > 0:
                    return [(taker, column), (taker, at), (row, at)]
        return None

    def _path(self, row: Row, column: int) -> list[tuple[Row, int]] | None:
        """Return takes and gives in turn; the first take is in `column`, the last of `row`."""
        came: dict[Row, tuple[Row | None, int]] = {}  # row -> who gives there, where it is taken
        waiting: deque[tuple[Row | None, int]] = deque([(None, column)])
        seen = {column}
        while waiting:
            giver, at = waiting.popleft()
            for taker in self._columns[at]:
                if taker in came or self._parts[taker][at] <= 0:
                    continue
                if taker == row and at == column:
                    continue
                came[taker] = (giver, at)
                if taker == row:
                    return _back(came, row)
                for further in self._parts[taker]:
                    if further not in seen and self._room(taker, further) > 0:
                        seen.add(further)
                        waiting.append((taker, further))
        return None


def _back(came: Mapping[Row, tuple[Row | None, int]], row: Row) -> list[tuple[Row, int]]:
    path: list[tuple[Row, int]] = []
    at: Row | None = row
    while at is not None:
        giver, taken = came[at]
        path.append((at, taken))
        if giver is not None:
            path.append((giver, taken))
        at = giver
    path.reverse()
    return path
