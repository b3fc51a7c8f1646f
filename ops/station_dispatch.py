"""The process that dispatches: the worker, what is to be emitted again, and the figures of both."""

from __future__ import annotations

import asyncio
from typing import Final

from ops.behind_the_door import dispatcher_of, worker_of
from ops.bootstrap import Hub
from ops.holding.watch import watch_holds
from ops.opened import opened
from ops.runtime.lifecycle import until_first
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import translated
from ops.runtime.settings import Settings
from ops.stewards.queue_watch import watch_queue
from ops.stewards.standing import keep_emitting
from ops.supervise import say_ready
from schemas.errors import TransientError

_GAUGE_SECONDS: Final = 2.0

GAUGES: Final = """
SELECT (SELECT count(*) FROM parked WHERE resolved_at IS NULL) AS parked,
       (SELECT count(*) FROM reemission) AS reemission,
       (SELECT coalesce(sum(next_offset), 0)::bigint FROM intake_progress) AS handled,
       (SELECT count(*) FROM case_report WHERE waits AND precedence >= 0) AS second_lines
"""


async def dispatch(settings: Settings, stopping: asyncio.Event) -> None:
    """Handle what was accepted until told to stop."""
    async with opened("dispatch", settings, stopping) as hub:
        if hub is None:
            return
        dispatcher = dispatcher_of(hub)
        worker = worker_of(hub, dispatcher)
        say_ready(settings, "dispatch")
        again = keep_emitting(dispatcher.stewards, settings.reemission_seconds)
        queue = watch_queue(hub.pool, hub.clock)
        await until_first(worker.run(stopping), _gauges(hub), again, queue, watch_holds(hub))


async def _gauges(hub: Hub) -> None:
    while True:
        try:
            with translated():
                async with hub.pool.acquire() as connection:
                    row = await connection.fetchrow(GAUGES)
            ends = await hub.log.end_offsets()
            METRICS.parked.set(row["parked"])
            METRICS.reemission_due.set(row["reemission"])
            METRICS.second_lines_waiting.set(row["second_lines"])
            METRICS.lag.set(sum(ends.values()) - row["handled"])
        except TransientError as error:
            METRICS.errors.labels("gauges", error.reason).inc()
        await asyncio.sleep(_GAUGE_SECONDS)
