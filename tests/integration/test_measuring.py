"""What the hub says of its database: sizes, sessions, locks, and who looks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import Gauge

from ops.measuring.database import DatabaseWatch
from ops.runtime.clock import SystemClock
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.database import _TOLD
from ops.runtime.postgres import connected
from tests.support.hub import scratch_hub
from tests.support.postgres import Database


def value(gauge: Gauge) -> float:
    return float(gauge._value.get())


@asynccontextmanager
async def watching(database: Database) -> AsyncIterator[asyncio.Task[None]]:
    watch = DatabaseWatch(database.connect_kwargs, SystemClock())
    task = asyncio.create_task(watch.watch())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_watched() -> None:
    async with asyncio.timeout(60):
        while not value(METRICS.table_parts.labels("stream_event")) > 0:  # NaN is neither
            await asyncio.sleep(0.02)


async def test_one_process_looks_and_what_it_said_goes_with_it(database: Database) -> None:
    async with connected(database.connect_kwargs, "migrate") as session:
        await session.execute("SELECT ensure_partitions()")
    async with watching(database):
        await until_watched()
        assert value(METRICS.database_bytes) > 1_000_000
        assert value(METRICS.database_sessions_most) >= 20
        assert abs(value(METRICS.clock_offset)) < 60
        assert 0 < value(METRICS.transaction_ids_used) < 1
        assert value(METRICS.schema_version) >= 19
        assert value(METRICS.table_parts.labels("stream_event")) > 3
        assert value(METRICS.table_parts.labels("audit")) == 1
        assert value(METRICS.table_index_bytes.labels("stream_event")) > 0
        assert value(METRICS.standbys.labels("sync")) == 0
        assert value(METRICS.archive_age) >= 0
        other = DatabaseWatch(database.connect_kwargs, SystemClock())
        async with connected(database.connect_kwargs, "looking") as session:
            async with asyncio.timeout(60):
                await other._lead(session)  # returns: another one looks
    assert value(METRICS.database_watched) == 0
    assert math.isnan(value(METRICS.database_bytes))
    assert all(math.isnan(value(each)) for each in METRICS.table_bytes.told())


async def test_who_waits_for_a_lock_is_seen(database: Database, tmp_path: Path) -> None:
    watch = DatabaseWatch(database.connect_kwargs, SystemClock())
    async with (
        scratch_hub(database, tmp_path) as hub,
        connected(database.connect_kwargs, "looking") as session,
        hub.pool.acquire() as other,
        hub.pool.acquire() as holder,
        holder.transaction(),
    ):
        await holder.execute("LOCK TABLE parked IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(other.fetchval("SELECT count(*) FROM parked"))
        async with asyncio.timeout(60):
            await watch.look(session)
            while not value(METRICS.lock_waits):
                await asyncio.sleep(0.02)
                await watch.look(session)
        assert value(METRICS.lock_waits) == 1
        assert value(METRICS.lock_wait_oldest) > 0
        assert value(METRICS.transaction_oldest) > 0
        assert value(METRICS.database_sessions.labels("waiting")) == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    METRICS.database_is_unknown()


def test_all_gauges_of_the_database_are_taken_back_but_who_looks() -> None:
    named = {name for name in vars(METRICS) if name.startswith(("database_", "table_", "standby"))}
    counted = {"database_watched", "database_deadlocks"}
    assert named - counted <= set(_TOLD)
    assert set(_TOLD) <= set(vars(METRICS))
