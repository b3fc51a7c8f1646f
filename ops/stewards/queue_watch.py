"""The figures of the queue: how many items wait, by guard and priority, and the oldest's age."""

from __future__ import annotations

import asyncio
from typing import Final

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from schemas.errors import TransientError

_SECONDS: Final = 10.0

# By the index of open items; those that were put off have no age.
GAUGES: Final = """
SELECT r.guard, r.priority, count(*) AS n,
       min(r.opened_at) FILTER (WHERE r.postponed_at IS NULL) AS oldest
FROM review_item r WHERE r.closed_at IS NULL GROUP BY r.guard, r.priority
"""


async def watch_queue(pool: Pool, clock: Clock) -> None:
    """Set the figures for ever."""
    shown: set[tuple[str, str]] = set()
    while True:
        try:
            with translated():
                async with pool.acquire() as connection:
                    shown = await take_figures(connection, clock, shown)
        except TransientError as error:
            METRICS.errors.labels("review", error.reason).inc()
        await asyncio.sleep(_SECONDS)


async def take_figures(
    connection: Connection, clock: Clock, shown: set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Set the figures once; return which were set, so that what is no more becomes 0."""
    rows = await connection.fetch(GAUGES)
    now = clock.now()
    found = {(row["guard"], str(row["priority"])): row["n"] for row in rows}
    for guard, priority in shown | set(found):
        METRICS.review_open.labels(guard, priority).set(found.get((guard, priority), 0))
    oldest = min((row["oldest"] for row in rows if row["oldest"] is not None), default=None)
    METRICS.review_age.set(0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
    return set(found)
