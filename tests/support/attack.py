"""An attacker who has every published figure, and a solver of linear programs (HiGHS).

What is known: each published figure says of a sum of columns that it is a count, or lies between
two; no column is below zero. What is asked of each protected sum: can it reach the threshold, and
if not, between what must it lie? Exact but for rounding of floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse.csgraph import connected_components

Columns = NDArray[np.int64]
Vector = NDArray[np.float64]
_SLACK: Final = 1e-4
_MOST_REPORTED: Final = 5
_AT_ONCE: Final = 400
"""So many targets are tried together: one program that raises all of them a little."""


class Equation(NamedTuple):
    """A sum of columns, and what is known of it."""

    columns: Columns
    least: float
    most: float
    less: Columns | None = None
    """Columns that are subtracted: one count is no more than another."""


class Target(NamedTuple):
    """A sum of columns that must not be shown to be small."""

    name: tuple[str, ...]
    columns: Columns
    truth: int
    """The truth."""


class Recovered(NamedTuple):
    """A target that what is known shows to be small."""

    name: tuple[str, ...]
    truth: int
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.name} can be shown to be {self.least} to {self.most}, and is {self.truth}"


class Attack:
    """What is known, made small: columns that are in the same sums are one.

    Args:
        width: How many columns there are.
        equations: What is known.
        is_whole: Counts are whole numbers, and the attacker makes use of that; for small cases.
    """

    def __init__(
        self, width: int, equations: Iterable[Equation], *, is_whole: bool = False
    ) -> None:
        self._is_whole = is_whole
        known = list(equations)
        nobody = np.zeros(width, dtype=bool)
        for each in known:
            if each.most <= 0 and each.less is None:
                nobody[each.columns] = True
        rows = _distinct(known, nobody)
        matrix = _matrix(rows, width).tocsc()
        self._class = np.full(width, -1, dtype=np.int64)
        kept: list[int] = []
        classes: dict[bytes, int] = {}
        for column in np.flatnonzero(~nobody):
            begin, end = matrix.indptr[column], matrix.indptr[column + 1]
            key = matrix.indices[begin:end].tobytes() + matrix.data[begin:end].tobytes()
            at = classes.get(key)
            if at is None:
                at = classes[key] = len(kept)
                kept.append(int(column))
            self._class[column] = at
        merged = matrix[:, kept].tocsr()
        self._sizes = np.bincount(self._class[self._class >= 0], minlength=len(kept))
        least = np.array([each.least for each in rows])
        most = np.array([each.most for each in rows])
        self._part, self._place, self._systems = _apart(merged, least, most)

    def recovered(self, targets: Iterable[Target], threshold: int) -> list[Recovered]:
        """Return those of the targets that cannot reach the threshold.

        A column of a class can hold all that the class does, so a sum can be what its classes are.
        Systems that have no column in common are solved apart: what a sum can be is the sum of what
        its parts can be.
        """
        asked: dict[bytes, Target] = {}
        for target in targets:
            asked.setdefault(self._classes(target.columns).tobytes(), target)
        parts: list[dict[bytes, Columns]] = [{} for _ in self._systems]
        of_target: list[tuple[Target, list[tuple[int, bytes]]]] = []
        for target in asked.values():
            keys = []
            for system, places in self._split(self._classes(target.columns)):
                parts[system][places.tobytes()] = places
                keys.append((system, places.tobytes()))
            of_target.append((target, keys))
        low = {
            (at, key)
            for at, some in enumerate(parts)
            for key in self._unraised(at, some, threshold)
        }
        found = []
        for target, keys in of_target:
            if all(key in low for key in keys):
                between = self._between(target, threshold)
                if between.most < threshold - _SLACK:
                    found.append(between)
            if len(found) >= _MOST_REPORTED:
                break
        return found

    def _unraised(self, system: int, some: dict[bytes, Columns], threshold: int) -> set[bytes]:
        """Return those sums of a system that cannot reach the threshold by themselves."""
        found: set[bytes] = set()
        every = list(some.items())
        batches = [every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE)]
        while batches:
            batch = batches.pop()
            state = self._solve(system, [places for _, places in batch], threshold)
            left = [each for each in batch if state[each[1]].sum() < threshold - _SLACK]
            if len(batch) == 1:
                found.update(key for key, _ in left)
            elif left:
                # What was not raised beside others may still be by itself, or beside fewer.
                middle = (len(left) + 1) // 2
                halves = [left] if 2 * len(left) <= len(batch) else [left[:middle], left[middle:]]
                batches += [half for half in halves if half]
        return found

    def bounds(self, target: Target, most: int) -> tuple[float, float]:
        """Return the least and the most that a target can be, the most cut off."""
        between = self._between(target, most)
        return between.least, between.most

    def _classes(self, columns: Columns) -> Columns:
        classes = np.unique(self._class[columns])
        return classes[classes >= 0]

    def _split(self, classes: Columns) -> list[tuple[int, Columns]]:
        """Return the systems that classes are of, and their places in each."""
        systems = self._part[classes]
        return [
            (int(system), self._place[classes[systems == system]]) for system in np.unique(systems)
        ]

    def _between(self, target: Target, threshold: int) -> Recovered:
        classes = self._classes(target.columns)
        every = self._class[target.columns]
        inside = np.bincount(every[every >= 0], minlength=len(self._sizes))
        certain = classes[inside[classes] == self._sizes[classes]]
        most = sum(
            float(self._solve(system, [places], threshold)[places].sum())
            for system, places in self._split(classes)
        )
        least = sum(self._lowest(system, places) for system, places in self._split(certain))
        assert least - 1e-2 <= target.truth, f"the attack is wrong of {target.name}"
        assert most + 1e-2 >= min(target.truth, threshold), f"the attack is wrong of {target.name}"
        return Recovered(target.name, target.truth, round(least, 3), round(most, 3))

    def _lowest(self, system: int, places: Columns) -> float:
        matrix, least, most = self._systems[system]
        goal = np.zeros(matrix.shape[1])
        goal[places] = 1
        state = self._optimum(goal, matrix, least, most, np.full(len(goal), np.inf))
        return float(state[places].sum())

    def _solve(self, system: int, targets: Sequence[Columns], most: int) -> Vector:
        """Return a state in which sums, each cut off at `most`, are together as high as can be."""
        known, lowest, highest = self._systems[system]
        width = known.shape[1]
        lines = np.repeat(np.arange(len(targets)), [len(each) for each in targets])
        sums = sparse.csr_matrix(
            (np.ones(len(lines)), (lines, np.concatenate(targets))), shape=(len(targets), width)
        )
        cut = -sparse.identity(len(targets), format="csr")
        nothing = sparse.csr_matrix((known.shape[0], len(targets)))
        matrix = sparse.vstack(
            [sparse.hstack([known, nothing]), sparse.hstack([sums, cut])], format="csr"
        )
        goal = np.concatenate([np.zeros(width), -np.ones(len(targets))])
        least = np.concatenate([lowest, np.zeros(len(targets))])
        highest = np.concatenate([highest, np.full(len(targets), np.inf)])
        upper = np.concatenate([np.full(width, np.inf), np.full(len(targets), float(most))])
        return self._optimum(goal, matrix, least, highest, upper)[:width]

    def _optimum(
        self, goal: Vector, matrix: Any, least: Vector, most: Vector, upper: Vector
    ) -> Vector:
        found = milp(
            goal,
            constraints=LinearConstraint(matrix, least, most),
            bounds=Bounds(np.zeros(len(goal)), upper),
            integrality=np.full(len(goal), int(self._is_whole)),
        )
        assert found.status == 0, f"what is published contradicts itself: {found.message}"
        state: Vector = found.x
        return state


def _apart(matrix: Any, least: Vector, most: Vector) -> tuple[Columns, Columns, list[Any]]:
    """Return of each column its system and its place there, and the systems."""
    rows, width = matrix.shape
    joined = sparse.bmat([[None, matrix], [matrix.T, None]], format="csr") if rows else None
    if joined is None:
        numbers = np.arange(width)
    else:
        _, numbers = connected_components(joined, directed=False)
    of_rows, of_columns = (numbers[:rows], numbers[rows:]) if rows else (numbers[:0], numbers)
    part = np.zeros(width, dtype=np.int64)
    place = np.zeros(width, dtype=np.int64)
    systems: list[Any] = []
    for number in np.unique(of_columns):
        columns = np.flatnonzero(of_columns == number)
        lines = np.flatnonzero(of_rows == number)
        part[columns], place[columns] = len(systems), np.arange(len(columns))
        systems.append((matrix[lines][:, columns], least[lines], most[lines]))
    return part, place, systems


def _distinct(known: Sequence[Equation], nobody: NDArray[np.bool_]) -> list[Equation]:
    """Return the equations without those who are nobody, each but once."""
    found: dict[tuple[bytes, bytes], Equation] = {}
    for each in known:
        columns = each.columns[~nobody[each.columns]]
        less = each.less if each.less is None else each.less[~nobody[each.less]]
        key = (columns.tobytes(), b"" if less is None else less.tobytes())
        held = found.get(key)
        least = each.least if held is None else max(each.least, held.least)
        most = each.most if held is None else min(each.most, held.most)
        if len(columns) or (less is not None and len(less)):
            found[key] = Equation(columns, least, most, less)
    return list(found.values())


def _matrix(rows: Sequence[Equation], width: int) -> Any:
    parts: list[tuple[int, Columns, float]] = []
    for number, each in enumerate(rows):
        parts.append((number, each.columns, 1.0))
        if each.less is not None:
            parts.append((number, each.less, -1.0))
    if not parts:
        return sparse.csr_matrix((0, width))
    numbers = np.repeat([number for number, _, _ in parts], [len(each) for _, each, _ in parts])
    signs = np.repeat([sign for _, _, sign in parts], [len(each) for _, each, _ in parts])
    columns = np.concatenate([each for _, each, _ in parts])
    return sparse.csr_matrix((signs, (numbers, columns)), shape=(len(rows), width))
