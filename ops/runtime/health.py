"""Is there room, does the database answer, does the log answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from schemas.errors import HubError

from .intake_log import IntakeLog
from .metrics import METRICS
from .postgres import Pool, translated


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether messages can be taken, and what is away although they can."""

    missing: list[str]
    """Without these none can; empty when they can."""
    without: list[str] = []
    """Of these the rest suffers: streams, files, changes of the register."""


async def readiness(
    pool: Pool,
    log: IntakeLog,
    closed_reason: str,
    *,
    log_is_database: bool,
    draining: bool = False,
) -> Readiness:
    """Say what is away.

    On the cluster a door takes messages while the database is away: whoever gives it to senders by
    this answer (a load balancer) must not take it from them then.

    Args:
        pool: The database.
        log: Where messages become durable.
        closed_reason: Why the door takes nothing now, empty where it does.
        log_is_database: The log lies in the database (embedded).
        draining: The process was told to stop; it takes what comes until it does.
    """
    missing: list[str] = []
    without: list[str] = []
    try:
        with translated():
            async with pool.acquire() as connection:
                await connection.fetchval("SELECT 1", timeout=2.0)
    except HubError as error:
        (missing if log_is_database else without).append(f"database ({error.reason})")
    try:
        await log.end_offsets()
    except HubError as error:
        missing.append(f"intake log ({error.reason})")
    if closed_reason:
        missing.append(f"door ({closed_reason})")
    if draining:
        missing.append("process (draining)")
    return Readiness(missing=missing, without=without)


def disk_is_low(folder: Path, min_free_bytes: int) -> bool:
    """Say whether less than `min_free_bytes`, or a tenth of the disk if that is less, is free.

    How much it is becomes a figure.
    """
    usage = shutil.disk_usage(folder)
    METRICS.disk_free_bytes.set(usage.free)
    return usage.free < min(min_free_bytes, usage.total // 10)
