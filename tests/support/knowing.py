"""What published figures tell an attacker: equations on everything that there could be.

A column is a number that he does not know: how many results (or persons of a window) there are of
a department, day (or end of a window), age, sex and kind. Every published figure is a sum of them.
Days, windows and weeks are in one system; of several extractions each has its own columns for what
came since the one before. Nothing here comes from the code under test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from schemas.areas import region_of
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES, Figure, Period
from tests.support.attack import Columns, Equation, Target
from tests.support.published import FIELDS, Cell, cell_of

ALL_SEXES: Final = (*SEXES, "U")
_KINDS: Final = 6
"""As many as there are fields, too."""
_OF_FIELD: Final = {
    "tests": (0, 1, 2, 3, 4, 5),
    "persons": (0, 1, 2, 3),
    "eligible_persons": (0, 1),
    "positive_tests": (1, 3, 5),
    "positive_persons": (1, 3),
    "cases": (1,),
}
"""Kinds: a person who is eligible, negative and positive; one who was positive before, the same; a
further test of a person, the same."""
_OF_ROWS: Final = frozenset({"tests", "positive_tests"})
NOWHERE: Final = "nowhere"


class Grid:
    """Places in a grid: department (the last is nowhere), time, age and sex (the last: unknown)."""

    def __init__(self, departments: Sequence[str], times: int) -> None:
        self.shape = (len(departments) + 1, times, len(AGE_CLASSES) + 1, len(ALL_SEXES))
        self._departments = tuple(departments)
        self._numbers = np.arange(int(np.prod(self.shape)), dtype=np.int64).reshape(self.shape)

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self._numbers.size)

    def of(self, area: str, times: Sequence[int], age: str, sex: str) -> Columns:
        """Return the places of a cell."""
        if area == FRANCE:
            places: Sequence[int] = range(self.shape[0])
        elif area == NOWHERE:
            places = [self.shape[0] - 1]
        else:
            level, _, code = area.partition(":")
            places = [
                at
                for at, each in enumerate(self._departments)
                if code == (each if level == "department" else region_of(each))
            ]
        ages = range(self.shape[2]) if age == ALL_AGES else [AGE_CLASSES.index(age)]
        sexes = [SEXES.index(sex)] if sex else range(self.shape[3])
        found: Columns = self._numbers[np.ix_(list(places), list(times), list(ages), list(sexes))]
        return found.ravel()


class Knowing:
    """The columns of some departments and days, of as many extractions as there are epochs.

    Args:
        departments: Of the world.
        days: All its days, without a gap.
        epochs: How many extractions: what came before the first, and between each two.
        persons_apart: Of windows each extraction has persons of its own, not more than before:
            persons are parted and merged, and move. Else they only come.
        is_corrected: What came after the first extraction is six counts that nothing ties: where a
            test is corrected to positive, no test came.
    """

    def __init__(
        self,
        departments: Sequence[str],
        days: Sequence[date],
        *,
        epochs: int = 1,
        persons_apart: bool = True,
        is_corrected: bool = False,
    ) -> None:
        self._is_corrected = is_corrected
        self._days = list(days)
        self._grid = Grid(departments, len(self._days))
        self._epochs = epochs
        self._apart = persons_apart
        self._of_kinds = self._grid.size * _KINDS
        self.width = 2 * self._of_kinds * epochs

    def columns(self, cell: Cell, field: str, epochs: Sequence[int]) -> Columns:
        """Return the columns that a count of a cell is the sum of, of what came in some epochs."""
        area, period, label, age, sex = cell
        of_window = period != Period.DAY and field not in _OF_ROWS
        times = self._times(period, label)
        places = self._grid.of(area, times[-1:] if of_window else times, age, sex)
        kinds = np.array(_OF_FIELD[field], dtype=np.int64)
        one = (places[:, None] * _KINDS + kinds[None, :]).ravel()
        if of_window and self._apart:
            epochs = epochs[-1:]
        shift = self._of_kinds if of_window else 0
        return np.concatenate([one + shift + 2 * self._of_kinds * epoch for epoch in epochs])

    def columns_between(
        self, cell: Cell, field: str, after: Sequence[int], states: Sequence[int]
    ) -> Columns:
        """Return the columns of what came to a count between two states, day by day an epoch.

        The first epoch that is in it is the one after `after`; -1: all of them.
        """
        area, period, label, age, sex = cell
        of_window = period != Period.DAY and field not in _OF_ROWS
        times = self._times(period, label)
        kinds = np.array(_OF_FIELD[field], dtype=np.int64)
        shift = self._of_kinds if of_window else 0
        found = [np.array([], dtype=np.int64)]
        apart = np.array([FIELDS.index(field)]) if self._is_corrected else kinds
        for time in times[-1:] if of_window else times:
            places = self._grid.of(area, [time], age, sex)
            for epoch in range(after[time] + 1, states[time] + 1):
                these = apart if epoch else kinds
                one = (places[:, None] * _KINDS + these[None, :]).ravel() + shift
                found.append(one + 2 * self._of_kinds * epoch)
        return np.concatenate(found)

    def equations_as_told(
        self, shown: Iterable[Figure], states: Sequence[int], base: int = 1
    ) -> list[Equation]:
        """Return what figures tell, each of whose days is told as of an epoch of its own."""
        found, nothing = [], [-1] * len(self._days)
        for figure in shown:
            if not self._times(figure.period, figure.label):
                continue
            cell = cell_of(figure)
            for field in FIELDS:
                count = getattr(figure, field)
                if count is not None:
                    columns = self.columns_between(cell, field, nothing, states)
                    least, most = count - base // 2, count + (base - 1) // 2
                    found.append(Equation(columns, max(0, least), most))
            for field, least, most in _of_rates(figure):
                columns = self.columns_between(cell, field, nothing, states)
                found.append(Equation(columns, least, most))
        return found

    def equations(self, shown: Iterable[Figure], epoch: int = 0, base: int = 1) -> list[Equation]:
        """Return what the figures of an extraction tell; rounded to multiples of a base."""
        found = []
        epochs = range(epoch + 1)
        told = {cell_of(figure): figure for figure in shown}
        for cell, figure in told.items():
            if not self._times(figure.period, figure.label):
                continue
            for field in FIELDS:
                count = getattr(figure, field)
                if count is None or (base <= 1 and self._follows(told, cell, field)):
                    continue
                columns = self.columns(cell, field, epochs)
                if base <= 1:
                    found.append(Equation(columns, count, count))
                    continue
                least, most = count - base // 2, count + (base - 1) // 2
                found.append(Equation(columns, max(0, least), most))
            for field, least, most in _of_rates(figure):
                found.append(Equation(self.columns(cell, field, epochs), least, most))
        return found

    def _follows(self, told: Mapping[Cell, Figure], cell: Cell, field: str) -> bool:
        """Say whether a sum of days says nothing that each of the days does not."""
        area, period, label, age, sex = cell
        if period == Period.DAY or field not in _OF_ROWS:
            return False
        days = (self._days[at].isoformat() for at in self._times(period, label))
        figures = (told.get((area, Period.DAY.value, day, age, sex)) for day in days)
        return all(each is not None and getattr(each, field) is not None for each in figures)

    def of_windows(self, epoch: int = 0) -> list[Equation]:
        """Return that of a window there are no more persons than tests, place by place."""
        found = []
        epochs = range(epoch + 1)
        departments, _, ages, sexes = self._grid.shape
        for end in range(len(self._days)):
            times = range(max(0, end - 6), end + 1)
            for place in range(departments * ages * sexes):
                department, rest = divmod(place, ages * sexes)
                of_place = (department, *divmod(rest, sexes))
                for tests, persons in (((0, 1, 2, 3, 4, 5), (0, 1, 2, 3)), ((1, 3, 5), (1, 3))):
                    of_days = self._one(of_place, times, tests, epochs, 0)
                    of_window = self._one(
                        of_place,
                        (end,),
                        persons,
                        epochs[-1:] if self._apart else epochs,
                        self._of_kinds,
                    )
                    found.append(Equation(of_days, 0, np.inf, of_window))
        return found

    def targets(self, counted: Iterable[Figure], most: int, epoch: int = 0) -> list[Target]:
        """Return what must not be found out: counts from 1 to `most`, shown or not."""
        found = []
        epochs = range(epoch + 1)
        for true in counted:
            cell = cell_of(true)
            if not self._times(true.period, true.label):
                continue
            for field in FIELDS:
                count = getattr(true, field)
                if 0 < count <= most:
                    columns = self.columns(cell, field, epochs)
                    found.append(Target((*cell, field), columns, count))
        return found

    def of_nowhere(self, counted: Iterable[Figure], most: int, epoch: int = 0) -> list[Target]:
        """Return the same of those whose residence is unknown: France less its regions.

        No figure is theirs.
        """
        rest: dict[tuple[Cell, str], int] = {}
        for figure in counted:
            level = figure.area.partition(":")[0]
            if level == "department" or not self._times(figure.period, figure.label):
                continue
            cell: Cell = (NOWHERE, *cell_of(figure)[1:])
            for field in FIELDS:
                sign = 1 if level == FRANCE else -1
                key = (cell, field)
                rest[key] = rest.get(key, 0) + sign * getattr(figure, field)
        return [
            Target((*cell, field), self.columns(cell, field, range(epoch + 1)), count)
            for (cell, field), count in rest.items()
            if 0 < count <= most
        ]

    def _one(
        self,
        place: tuple[int, int, int],
        times: Iterable[int],
        kinds: Sequence[int],
        epochs: Sequence[int],
        shift: int,
    ) -> Columns:
        department, age, sex = place
        _, days, ages, sexes = self._grid.shape
        places = [((department * days + at) * ages + age) * sexes + sex for at in times]
        return np.array(
            [
                number * _KINDS + kind + shift + 2 * self._of_kinds * epoch
                for number in places
                for kind in kinds
                for epoch in epochs
            ],
            dtype=np.int64,
        )

    def _times(self, period: str, label: str) -> range:
        """Return the days that a time is the sum of; what is before the world is nobody's."""
        if period == Period.WEEK:
            last = date.fromisocalendar(int(label[:4]), int(label[6:]), 7)
        else:
            last = date.fromisoformat(label)
        end = (last - self._days[0]) // timedelta(days=1)
        if not 0 <= end < len(self._days):
            return range(0)
        return range(end, end + 1) if period == Period.DAY else range(max(0, end - 6), end + 1)


def _of_rates(figure: Figure) -> list[tuple[str, float, float]]:
    """Return between what the rates, and classes of them, leave counts that are not told."""
    found: list[tuple[str, float, float]] = []
    inhabitants = figure.population or 0
    if figure.cases is None:
        if figure.incidence_class:
            low, _, high = figure.incidence_class.strip("[]").partition(";")
            most = np.inf if high == "Max" else (int(high) * inhabitants - 1) // 100_000
            found.append(("cases", -(-int(low) * inhabitants // 100_000), most))
        if figure.incidence is not None:
            found.append(("cases", *_near(figure.incidence, inhabitants / 100_000)))
        if figure.positivity is not None and figure.eligible_persons is not None:
            found.append(("cases", *_near(figure.positivity, figure.eligible_persons / 100)))
    if figure.eligible_persons is None and figure.screening is not None:
        found.append(("eligible_persons", *_near(figure.screening, inhabitants / 100_000)))
    return found


def _near(rate: float, of: float) -> tuple[float, float]:
    """Return between what a count lies whose rate is told to two places."""
    return float(np.ceil((rate - 0.006) * of)), float(np.floor((rate + 0.006) * of))
