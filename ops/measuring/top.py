"""The few laboratories that lead a list, as metrics: a bounded set that does not flicker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from ops.runtime.metrics import METRICS, Told
from ops.runtime.metrics.telling import gauge_family
from ops.runtime.postgres import Connection

from .laboratories import Asked, LabFigures, Laboratories, forget

Judge = Callable[[Connection, Asked], Awaitable[Mapping[str, float]]]

HOURS: Final = 24
_FORGET_EVERY: Final = 60

TOLD: Final = {
    "labdispatch_laboratory_top_received": "Messages of the last 24 hours, of those who sent most",
    "labdispatch_laboratory_top_refused": "Messages of the last 24 hours that were refused, turned"
    " away or parked, of those who had most",
    "labdispatch_laboratory_top_silent_seconds": "Since the last message of those live laboratories"
    " that have sent, and are silent for longest",
    "labdispatch_laboratory_top_silence_score": "How unlikely by its own past it is that nothing,"
    " or so little, came, of those live laboratories of which it is most; 4: one in 10,000",
}
"""Metrics that name laboratories, with what they mean."""


class TopLaboratories:
    """Keeps the lists and tells them.

    The first half of a list is who leads now, always. For a place of the other half a laboratory
    that was named goes before one that was not while it is among twice as many as are told: two
    that take turns at the last place do not make a new series each time. At any moment a metric has
    no more than `most` series.

    Args:
        laboratories: Reads the figures of all.
        told: Where the lists are told; emptied by `stop`.
        most: How many a list names.
        keep_days: How long figures of hours are kept.
        judge: Says of those laboratories that are silent, or send too little, how unlikely it is.
    """

    def __init__(
        self,
        laboratories: Laboratories,
        told: Told,
        *,
        most: int,
        keep_days: int,
        judge: Judge | None = None,
    ) -> None:
        self._laboratories = laboratories
        self._told = told
        self._most = most
        self._keep_days = keep_days
        self._judge = judge
        self._named: dict[str, list[str]] = {name: [] for name in TOLD}
        self._turns = 0

    async def look(self, session: Connection) -> None:
        """Read all laboratories once and tell who leads."""
        asked = await self._laboratories.read(session, HOURS)
        scores = await self._judge(session, asked) if self._judge is not None else {}
        self.tell(asked.laboratories, scores)

    async def tidy(self, session: Connection) -> None:
        """Let old hours go, once in so many times; tried again at once where that failed."""
        if self._turns % _FORGET_EVERY == 0:
            before = self._laboratories.now() - timedelta(days=self._keep_days)
            await forget(session, before)
        self._turns += 1

    def tell(self, rows: Sequence[LabFigures], scores: Mapping[str, float] | None = None) -> None:
        """Tell who leads among these, and by these scores."""
        families = []
        lists = (*_values_of(rows), dict(scores or {}))
        for (name, means), values in zip(TOLD.items(), lists, strict=True):
            named = self._named[name] = _leading(values, self._named[name], self._most)
            families.append(
                gauge_family(name, means, "laboratory", {each: values[each] for each in named})
            )
        self._told.tell(families)

    def stop(self) -> None:
        """Tell nothing any more: another process does."""
        self._told.tell([])
        METRICS.silence_is_unknown()


def _values_of(rows: Sequence[LabFigures]) -> tuple[dict[str, float], ...]:
    """Return what each list but the last goes by; who has nothing to tell is in none."""
    received = {row.laboratory: float(row.received) for row in rows if row.received}
    refused = {
        row.laboratory: float(bad)
        for row in rows
        if (bad := row.refused + row.turned_away + row.parked)
    }
    silent = {
        row.laboratory: row.silent_seconds
        for row in rows
        if row.silent_seconds is not None and row.state == "live"
    }
    return received, refused, silent


def _leading(values: dict[str, float], before: Sequence[str], most: int) -> list[str]:
    """Return who is in a list now: its head, then who was in it and is near, then the foremost."""
    order = sorted(values, key=lambda each: (-values[each], each))
    sure = (most + 1) // 2
    were = set(before)
    near = order[sure : 2 * most]
    stay = [each for each in near if each in were]
    come = [each for each in near if each not in were]
    return [*order[:sure], *stay, *come][:most]
