"""What every process that takes messages does beside: room, log, register, counts, doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

from ingest.accept import DoorCounts
from ingest.fairness_store import share_counts
from ops.bootstrap import Door, Hub
from ops.log_watch import LogWatch, WatchLimits
from ops.opening import watch_proof
from ops.runtime.health import disk_is_low
from ops.runtime.lab_hours import keep_writing, write
from ops.runtime.lifecycle import bounded
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from ops.runtime.settings import Engine
from ops.runtime.tls import TlsMaterial
from ops.tls_doors import keep_tls_fresh
from schemas.errors import HubError, UnknownResult

_log = get_logger(__name__)

_FLUSH_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 1.0
_MEASURES_EVERY: Final = 30

FLUSH: Final = """
INSERT INTO door_count (day, answer, reason, n)
SELECT current_date, c.a, c.r, c.n FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (a, r, n)
ON CONFLICT (day, answer, reason) DO UPDATE SET n = door_count.n + EXCLUDED.n
"""


async def last_flush(hub: Hub, door: Door) -> None:
    """Write what a process that stops has counted, within seconds."""
    await bounded(flush(hub, door), 1.0, "door counts")
    await bounded(door.foreign.flush(hub.pool), 1.0, "foreign facilities")
    await bounded(write(hub.pool), 1.0, "figures of laboratories")


async def in_doubt(door: Door) -> None:
    """End the process once an append's result is unknown: it gives no acknowledgement any more."""
    await door.appender.in_doubt.wait()
    # The connections' own callbacks run first and close without an answer.
    await asyncio.sleep(0)
    raise UnknownResult("append_unknown", "laboratories send again what got no answer")


def upkeep(hub: Hub, door: Door, material: TlsMaterial | None) -> list[Coroutine[Any, Any, None]]:
    """Return what is to run beside a door, each for ever."""
    settings = hub.settings
    watch = LogWatch(
        hub.log,
        hub.pool,
        hub.clock,
        time.monotonic,
        WatchLimits(
            away_seconds=settings.log_away_seconds,
            retention_seconds=settings.log_retention_seconds,
            margin_seconds=settings.log_margin_seconds,
            unanswered=(
                "database_away" if settings.engine is Engine.EMBEDDED else "kafka_unavailable"
            ),
        ),
    )
    works = [
        door.register.keep_fresh(settings.register_refresh_seconds),
        _flush_for_ever(hub, door),
        _watch_room(hub, door, watch),
        _watch_log(watch),
        keep_tls_fresh(material, settings.tls_reload_seconds),
        keep_writing(hub.pool, settings.figures_write_seconds),
    ]
    if hub.held is not None:
        works.append(watch_proof(hub.pool, settings.register_refresh_seconds))
    return works


async def _flush_for_ever(hub: Hub, door: Door) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        await flush(hub, door)
        await door.foreign.flush(hub.pool)


async def flush(hub: Hub, door: Door) -> None:
    """Write what was counted; what cannot be written now is kept."""
    await _flush_counts(hub.pool, door.counts)
    await share_counts(door.acceptor.fairness, hub.pool, hub.clock)


async def _flush_counts(pool: Pool, counts: DoorCounts) -> None:
    taken = counts.take()
    if not taken:
        return
    try:
        with translated():
            async with pool.acquire() as connection:
                await connection.execute(
                    FLUSH, [a for a, _ in taken], [r for _, r in taken], list(taken.values())
                )
    except HubError as error:
        counts.give_back(taken)
        METRICS.errors.labels("door_counts", error.reason).inc()


async def _watch_room(hub: Hub, door: Door, watch: LogWatch) -> None:
    """Refuse (AR 207) while the disk is low or the log cannot take it, rather than lose it."""
    settings = hub.settings
    while True:
        low = disk_is_low(settings.data_dir, settings.min_free_disk_bytes)
        reason = "disk_low" if low else watch.reason
        if reason and reason != door.acceptor.closed_reason:
            _log.error("door_closed", reason=reason, remedy="see docs/runbooks/door-closed.md")
        elif not reason and door.acceptor.closed_reason:
            _log.info("door_open")
        door.acceptor.closed_reason = reason
        METRICS.door_closed.set(int(bool(reason)))
        await asyncio.sleep(_DISK_SECONDS)


async def _watch_log(watch: LogWatch) -> None:
    turn = 0
    while True:
        await watch.ask()
        if turn % _MEASURES_EVERY == 0:
            await watch.measure()
        turn += 1
        await asyncio.sleep(_LOG_SECONDS)
