"""Looks from beside the loop whether counting moves: a loop that hangs cannot say so itself."""

from __future__ import annotations

import time

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated

from . import queries


class Watch:
    """Sets the figures of the backlog.

    Args:
        pool: Connections of the role that counts.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._batch = -1
        self._moved_at = time.monotonic()

    async def look(self) -> None:
        """Count what waits, and for how long nothing has been counted.

        Raises:
            TransientError: The database is away.
        """
        with translated():
            async with self._pool.acquire() as connection:
                batch = (await connection.fetchrow(queries.PROGRESS))["batch"]
                rows = await connection.fetch(queries.LANES)
        lag = sum(max(0, row["last_seq"] - _counted(row)) for row in rows)
        if not lag or batch != self._batch:
            self._batch, self._moved_at = batch, time.monotonic()
        METRICS.indicator_lag.set(lag)
        METRICS.indicator_lag_seconds.set(time.monotonic() - self._moved_at if lag else 0)


def _counted(row: object) -> int:
    counted = row["counted"]  # type: ignore[index]
    return int(row["begins"] - 1 if counted is None else counted)  # type: ignore[index]
