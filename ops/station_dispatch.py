"""The process that dispatches: the worker, what is to be emitted again, and the figures of both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from ops.accounting.keeping import keep_account
from ops.backup.keeping import keep_backup_figures
from ops.behind_the_door import budget_of, dispatcher_of, worker_of
from ops.bootstrap import Hub
from ops.holding.watch import watch_holds
from ops.opened import opened
from ops.pausing.standing import watch_pauses
from ops.retention.keeping import keep_retention
from ops.runtime.lab_hours import keep_writing, write
from ops.runtime.lifecycle import bounded, until_first
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.labels import PARTITIONS
from ops.runtime.postgres import translated
from ops.runtime.settings import Settings
from ops.runtime.worker import Worker
from ops.stewards.queue_watch import watch_queue
from ops.stewards.standing import keep_emitting
from ops.supervise import say_ready
from schemas.errors import TransientError

_GAUGE_SECONDS: Final = 2.0

GAUGES: Final = """
SELECT (SELECT count(*) FROM parked WHERE resolved_at IS NULL) AS parked,
       (SELECT count(*) FROM reemission) AS reemission,
       (SELECT count(*) FROM case_report WHERE waits AND precedence >= 0) AS second_lines
"""

PROGRESS: Final = "SELECT partition, next_offset FROM intake_progress"
_TOLD_PARTITIONS: Final = len(PARTITIONS.values)


async def dispatch(settings: Settings, stopping: asyncio.Event) -> None:
    """Handle what was accepted until told to stop."""
    async with opened("dispatch", settings, stopping) as hub:
        if hub is None:
            return
        # They share the partitions as workers of two processes would: by membership, and apart by
        # the fence. Each has a matcher of its own; what may be opened for review is the process's.
        budget = budget_of(settings)
        # A consumer of Kafka stands at one place: on the cluster a process has one worker.
        count = 1 if hub.is_cluster else settings.dispatch_workers
        dispatchers = [dispatcher_of(hub, budget) for _ in range(count)]
        workers = [worker_of(hub, dispatcher) for dispatcher in dispatchers]
        say_ready(settings, "dispatch")
        again = keep_emitting(dispatchers[0].stewards, settings.reemission_seconds)
        queue = watch_queue(hub.pool, hub.clock)
        holds = watch_holds(hub)
        account, pauses = keep_account(hub), watch_pauses(hub)
        figures = keep_writing(hub.pool, settings.figures_write_seconds)
        beside = (_gauges(hub), again, queue, holds, account, pauses, figures)
        await until_first(
            _run(workers, stopping), *beside, keep_retention(hub), keep_backup_figures(hub)
        )
        await bounded(write(hub.pool), 1.0, "figures of laboratories")


async def _run(workers: Sequence[Worker], stopping: asyncio.Event) -> None:
    """Run workers until all have finished the batch in hand; raise what one of them raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(stopping))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _gauges(hub: Hub) -> None:
    while True:
        try:
            with translated():
                async with hub.pool.acquire() as connection:
                    row = await connection.fetchrow(GAUGES)
                    handled = await connection.fetch(PROGRESS)
            ends = await hub.log.end_offsets()
            METRICS.parked.set(row["parked"])
            METRICS.reemission_due.set(row["reemission"])
            METRICS.second_lines_waiting.set(row["second_lines"])
            tell_lag(ends, {row["partition"]: row["next_offset"] for row in handled})
        except TransientError as error:
            METRICS.errors.labels("gauges", error.reason).inc()
        await asyncio.sleep(_GAUGE_SECONDS)


def tell_lag(ends: Mapping[int, int], handled: Mapping[int, int]) -> None:
    """Tell how far dispatch is behind: in all, and by partition where there are few."""
    lags = {partition: end - handled.get(partition, 0) for partition, end in ends.items()}
    METRICS.lag.set(sum(lags.values()))
    if len(lags) <= _TOLD_PARTITIONS:
        for partition, lag in lags.items():
            METRICS.partition_lag.labels(str(partition)).set(lag)
