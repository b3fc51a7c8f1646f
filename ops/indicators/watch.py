"""Looks from beside whether the loop counts and publishes: one that hangs cannot say so."""

from __future__ import annotations

import time

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated

from . import extraction_queries, queries


class Watch:
    """Sets the figures of the backlog and of the last extraction.

    Args:
        pool: Connections of the role that counts.
        clock: By which extractions are made.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._began_at = clock.now()
        self._batch = -1
        self._moved_at = time.monotonic()

    async def look(self) -> None:
        """Count what waits, and for how long nothing has been counted, and published.

        Raises:
            TransientError: The database is away.
        """
        with translated():
            async with self._pool.acquire() as connection:
                progress = await connection.fetchrow(queries.PROGRESS)
                last = await connection.fetchrow(extraction_queries.LAST)
                rows = await connection.fetch(queries.LANES)
        batch = progress["batch"]
        lag = sum(max(0, row["last_seq"] - _counted(row)) for row in rows)
        if not lag or batch != self._batch:
            self._batch, self._moved_at = batch, time.monotonic()
        METRICS.indicator_lag.set(lag)
        METRICS.indicator_lag_seconds.set(time.monotonic() - self._moved_at if lag else 0)
        METRICS.indicator_extraction.set(last["number"] if last else 0)
        # Where something is counted and nothing was ever published: as old as this process. A clock
        # that was ahead is as far off as one that has run on.
        since = progress["extracted_at"] or (self._began_at if batch else self._clock.now())
        age = abs((self._clock.now() - since).total_seconds())
        METRICS.indicator_extraction_age.set(age)


def _counted(row: object) -> int:
    counted = row["counted"]  # type: ignore[index]
    return int(row["begins"] - 1 if counted is None else counted)  # type: ignore[index]
