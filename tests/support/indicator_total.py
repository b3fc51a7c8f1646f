"""Cells as somebody holds them who adds up what changes, named as SQL names them."""

from __future__ import annotations

from datetime import date

from routing.indicator_cells import CellKey, Counts, DelayKey, Deltas, Measure, added

from .indicator_sql import Cells


class Total:
    """Cells as somebody holds them who adds up what changes."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Counts] = {}
        self.delays: dict[tuple[DelayKey, int], Counts] = {}

    def add(self, deltas: Deltas) -> None:
        """Add what a batch changes."""
        for key, change in deltas.cells.items():
            self.cells[key] = added(self.cells.get(key), change)
        for place, both in deltas.delays.items():
            for kind, delays in enumerate(both):
                self.delays[place, kind] = added(self.delays.get((place, kind)), delays)

    def named(self) -> Cells:
        """Return what is not zero, as SQL names it."""
        found = {
            (key.condition, key.period, date.fromordinal(key.day), *key[3:]): {
                Measure(place).name: count for place, count in enumerate(counts) if count
            }
            for key, counts in self.cells.items()
        }
        return {key: counts for key, counts in found.items() if counts}

    def named_delays(self) -> dict[tuple[object, ...], tuple[int, int]]:
        """Return what is not zero, as SQL names it."""
        found: dict[tuple[object, ...], tuple[int, int]] = {}
        for (key, _), tests in self.delays.items():
            positive = self.delays[key, 1]
            for delay, both in enumerate(zip(self.delays[key, 0], positive, strict=True)):
                if any(both):
                    place = (key.condition, date.fromordinal(key.day), key.department, delay)
                    found[place] = both
            assert len(tests) == len(positive)
        return found
