"""An attacker who has every published figure, and linear programming.

What is known: each published count is the sum of some leaves, and no leaf is below zero. What is
asked: the least and the most that a withheld count can be. Exact but for rounding of floats.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_TINY = 1e-7


class Attack:
    """Equations on leaves, made small, then solved by the simplex method (Dantzig 1947).

    Args:
        leaves: All that there could be, whether anybody is in it or not.
        equations: Which leaves each published count is the sum of, and the count.
    """

    def __init__(
        self,
        leaves: Iterable[Hashable],
        equations: Iterable[tuple[frozenset[Hashable], int]],
    ) -> None:
        rows = dict(equations)
        self.nobody = _nobody(rows)
        containing: dict[Hashable, list[int]] = {leaf: [] for leaf in leaves}
        for number, members in enumerate(rows):
            for leaf in members:
                containing[leaf].append(number)
        classes: dict[tuple[int, ...], int] = {}
        self._class = {
            leaf: classes.setdefault(tuple(numbers), len(classes))
            for leaf, numbers in containing.items()
            if leaf not in self.nobody
        }
        matrix = np.zeros((len(rows), len(classes)))
        for numbers, at in classes.items():
            matrix[list(numbers), at] = 1
        self._free = {at for numbers, at in classes.items() if not numbers}
        self._solver = _Simplex(matrix, np.array(list(rows.values()), dtype=float))

    def bounds(self, wanted: Iterable[Hashable]) -> tuple[float, float]:
        """Return the least and the most that some leaves can hold together."""
        whole = set(wanted)
        touched = {self._class[leaf] for leaf in whole if leaf in self._class}
        inside: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for leaf, at in self._class.items():
            sizes[at] = sizes.get(at, 0) + 1
            inside[at] = inside.get(at, 0) + (leaf in whole)
        most = float("inf") if touched & self._free else self._solver.most(touched)
        certain = {at for at in touched if inside[at] == sizes[at]} - self._free
        return self._solver.least(certain), most


def _nobody(rows: Mapping[frozenset[Hashable], int]) -> set[Hashable]:
    return {leaf for members, count in rows.items() if count == 0 for leaf in members}


class _Simplex:
    """Maximises over {x >= 0: A x = b}; the second goal starts where the first one ended."""

    def __init__(self, matrix: Matrix, right: Matrix) -> None:
        matrix, right = _independent(matrix, right)
        rows, self._columns = matrix.shape
        self._table = np.hstack([matrix, np.eye(rows), right[:, None]])
        self._basis = np.arange(self._columns, self._columns + rows)
        goal = np.zeros(self._columns + rows)
        goal[self._columns :] = -1
        left = self._climb(goal, self._columns + rows)
        assert abs(left) < 1e-4, "what is published contradicts itself"
        for row in np.flatnonzero(self._basis >= self._columns):
            entering = np.flatnonzero(np.abs(self._table[row, : self._columns]) > _TINY)
            if entering.size:
                self._pivot(int(row), int(entering[0]))

    def most(self, wanted: set[int]) -> float:
        goal = np.zeros(self._table.shape[1] - 1)
        goal[list(wanted)] = 1
        return self._climb(goal, self._columns)

    def least(self, wanted: set[int]) -> float:
        goal = np.zeros(self._table.shape[1] - 1)
        goal[list(wanted)] = -1
        return -self._climb(goal, self._columns)

    def _climb(self, goal: Matrix, usable: int) -> float:
        for step in range(100_000):
            gains = goal[:usable] - goal[self._basis] @ self._table[:, :usable]
            gains[gains < _TINY] = 0
            if not gains.any():
                return float(goal[self._basis] @ self._table[:, -1])
            # Bland's rule after a while: degenerate corners must not turn in circles.
            column = int(np.argmax(gains)) if step < 2_000 else int(np.flatnonzero(gains)[0])
            entries = self._table[:, column]
            open_rows = np.flatnonzero(entries > _TINY)
            if not open_rows.size:
                return float("inf")
            ratios = self._table[open_rows, -1] / entries[open_rows]
            ties = open_rows[ratios <= ratios.min() + 1e-9]
            tie = int(np.argmin(self._basis[ties]))
            self._pivot(int(ties[tie]), column)
        raise AssertionError("no end")

    def _pivot(self, row: int, column: int) -> None:
        self._table[row] /= self._table[row, column]
        factors = self._table[:, column].copy()
        factors[row] = 0
        busy = np.flatnonzero(factors)
        self._table[busy] -= factors[busy, None] * self._table[row]
        self._table[np.abs(self._table) < 1e-11] = 0
        self._basis[row] = column


def _independent(matrix: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Return the same equations without those that follow from the others."""
    kept: list[int] = []
    reduced = matrix.copy()
    used = np.zeros(len(matrix), dtype=bool)
    for column in range(matrix.shape[1]):
        candidates = np.flatnonzero((np.abs(reduced[:, column]) > _TINY) & ~used)
        if not candidates.size:
            continue
        row = int(candidates[np.argmax(np.abs(reduced[candidates, column]))])
        used[row] = True
        kept.append(row)
        others = np.flatnonzero((np.abs(reduced[:, column]) > _TINY) & ~used)
        reduced[others] -= np.outer(reduced[others, column] / reduced[row, column], reduced[row])
    kept.sort()
    return matrix[kept], right[kept]
