"""What the hub says of its database: sizes, sessions, locks, and who looks."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge

from ops.measuring import queries
from ops.measuring.database import STATION, DatabaseWatch
from ops.runtime.clock import SystemClock
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.database import _TOLD
from ops.runtime.postgres import connected
from ops.runtime.settings import METRICS_FOLDER_VARIABLE
from schemas.errors import PermanentError
from tests.support.hub import scratch_hub
from tests.support.postgres import Database


def value(figure: Gauge | Counter) -> float:
    return float(figure._value.get())


def errors(reason: str) -> float:
    return value(METRICS.errors.labels(STATION, reason))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(
    database: Database, watch: DatabaseWatch | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    watch = watch or DatabaseWatch(database.connect_kwargs, SystemClock())
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
    assert value(METRICS.database_watched) == 0
    assert math.isnan(value(METRICS.database_bytes))
    assert all(math.isnan(value(each)) for each in METRICS.table_bytes.told())


async def test_a_process_that_does_not_look_takes_nothing_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("ops.measuring.database._LOOK_SECONDS", 0.02)
    other = DatabaseWatch(database.connect_kwargs, SystemClock())
    tries, taken_back = [], []
    lead = other._lead

    async def tried(session: Any) -> None:
        tries.append(session)
        await lead(session)

    monkeypatch.setattr(other, "_lead", tried)
    async with watching(database):
        await until(lambda: value(METRICS.database_bytes) > 0)
        with monkeypatch.context() as listening:
            listening.setattr(METRICS, "database_is_unknown", lambda: taken_back.append(1))
            async with watching(database, other):
                await until(lambda: len(tries) >= 3)
        assert value(METRICS.database_watched) == 1
    assert taken_back == []


class NoLeaders:
    """Cannot read who leads, and tidies all the same."""

    def __init__(self) -> None:
        self.tidied = 0

    async def look(self, _: Any) -> None:
        raise PermanentError("of_this_test", "nothing to do")

    async def tidy(self, _: Any) -> None:
        self.tidied += 1

    def stop(self) -> None:
        pass


async def test_sizes_that_cannot_be_read_take_nothing_else_with_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.measuring.database._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("ops.measuring.database._SIZES_SECONDS", 0.0)
    monkeypatch.setattr(queries, "TABLES", "SELECT 1 / 0")
    top: Any = NoLeaders()
    before, leaders = errors("sizes_not_read"), errors("leaders_not_read")
    watch = DatabaseWatch(database.connect_kwargs, SystemClock(), top)
    leads = []
    lead = watch._lead

    async def led(session: Any) -> None:
        leads.append(session)
        await lead(session)

    monkeypatch.setattr(watch, "_lead", led)
    async with watching(database, watch):
        await until(lambda: top.tidied >= 3)
        assert len(leads) == 1, "it leads on"
        assert value(METRICS.database_watched) == 1
        assert value(METRICS.standby_lag_seconds) == 0
        assert errors("sizes_not_read") >= before + 3
        assert errors("leaders_not_read") >= leaders + 3
        monkeypatch.undo()


async def test_deadlocks_between_two_times_of_leading_are_another_process_s(
    database: Database,
) -> None:
    watch = DatabaseWatch(database.connect_kwargs, SystemClock())
    watch._deadlocks = -100  # as it was when this one looked last; another one has counted since
    before = value(METRICS.database_deadlocks)
    async with watching(database, watch):
        await until(lambda: value(METRICS.database_bytes) > 0)
        assert value(METRICS.database_deadlocks) == before


async def test_a_slow_disk_is_no_clock_that_is_off(database: Database) -> None:
    """All that is asked but the clock takes a minute."""
    late = timedelta()

    class Clock:
        def now(self) -> datetime:
            return datetime.now(UTC) + late

    async with connected(database.connect_kwargs, "looking") as session:

        class Slow:
            def __getattr__(self, name: str) -> Any:
                async def asked(query: str, *args: object) -> Any:
                    nonlocal late
                    found = await getattr(session, name)(query, *args)
                    if query != queries.CLOCK:
                        late += timedelta(minutes=1)
                    return found

                return asked

        slow: Any = Slow()
        await DatabaseWatch(database.connect_kwargs, Clock()).look(slow)
    assert late >= timedelta(minutes=3)
    assert abs(value(METRICS.clock_offset)) < 20
    METRICS.database_is_unknown()


async def test_what_a_role_is_not_shown_is_unknown_and_an_error(database: Database) -> None:
    role = f"watch_{uuid.uuid4().hex[:12]}"
    watch = DatabaseWatch(database.connect_kwargs, SystemClock())
    hidden = [METRICS.transaction_oldest, METRICS.standby_lag_bytes, METRICS.standby_lag_seconds]
    async with connected(database.superuser_kwargs, "migrate") as admin:
        await admin.execute(
            f"CREATE ROLE {role}; GRANT {role} TO labdispatch;"
            f" GRANT SELECT ON schema_migration, schema_expansion TO {role}"
        )
        try:
            async with connected(database.connect_kwargs, "looking") as session:
                await session.execute(f"SET ROLE {role}")
                before = errors("database_hidden")
                await watch.look(session)
                assert errors("database_hidden") == before + 1
                assert all(math.isnan(value(each)) for each in hidden)
                assert value(METRICS.standbys.labels("sync")) == 0
                await admin.execute(f"GRANT pg_monitor TO {role}")
                await watch.look(session)
                assert errors("database_hidden") == before + 1
                assert not any(math.isnan(value(each)) for each in hidden)
        finally:
            await admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    METRICS.database_is_unknown()


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
