"""Figures of a hot path: counted in memory, given to the shared figures together."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import Counter

from .declaring import Seconds

GATHERED_SECONDS: Final = 0.25
_MAX_VALUES: Final = 10_000


class Gathered:
    """Figures of a hot path: counted in memory, given to the shared figures together.

    One of ours costs a lock, a look at the process id and two writes into a shared file, and a
    message at the door has ten. They are given a moment after the first (`GATHERED_SECONDS`), at
    once outside of an event loop; a process that is killed takes that moment's with it. Bounded by
    the figures there are, and by `_MAX_VALUES`.
    """

    def __init__(self) -> None:
        self._counts: dict[Counter, float] = {}
        self._values: dict[Seconds, list[float]] = {}
        self._giving: asyncio.AbstractEventLoop | None = None
        """The loop that will give them, while it is due."""

    def add(self, figure: Counter, amount: float = 1) -> None:
        """Count, as `inc` does."""
        self._counts[figure] = self._counts.get(figure, 0) + amount
        if self._giving is None or self._giving.is_closed():
            self._give_soon()

    def observe(self, figure: Seconds, value: float) -> None:
        """Take a value, as `observe` does."""
        values = self._values.setdefault(figure, [])
        values.append(value)
        if len(values) >= _MAX_VALUES:
            self.give()
        elif self._giving is None or self._giving.is_closed():
            self._give_soon()

    def give(self) -> None:
        """Give what has come together."""
        counts, self._counts = self._counts, {}
        values, self._values = self._values, {}
        self._giving = None
        for figure, amount in counts.items():
            figure.inc(amount)
        for histogram, found in values.items():
            histogram.observe_all(found)

    def _give_soon(self) -> None:
        try:
            self._giving = asyncio.get_running_loop()
        except RuntimeError:
            self.give()
        else:
            self._giving.call_later(GATHERED_SECONDS, self.give)
