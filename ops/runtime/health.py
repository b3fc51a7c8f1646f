"""Is there room, does the database answer, does the log answer."""

from __future__ import annotations

import shutil
from pathlib import Path

from schemas.errors import HubError

from .intake_log import IntakeLog
from .postgres import Pool, translated


async def not_ready(pool: Pool, log: IntakeLog) -> list[str]:
    """Name what the hub cannot do without and does not have now; empty when all is well."""
    missing = []
    try:
        with translated():
            async with pool.acquire() as connection:
                await connection.fetchval("SELECT 1", timeout=2.0)
    except HubError as error:
        missing.append(f"database ({error.reason})")
    try:
        await log.end_offsets()
    except HubError as error:
        missing.append(f"intake log ({error.reason})")
    return missing


def disk_is_low(folder: Path, min_free_bytes: int) -> bool:
    """Say whether less than `min_free_bytes`, or a tenth of the disk if that is less, is free."""
    usage = shutil.disk_usage(folder)
    return usage.free < min(min_free_bytes, usage.total // 10)
