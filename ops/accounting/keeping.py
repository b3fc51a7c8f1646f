"""Keeps the account by day: counts every few seconds, closes days, writes laboratories' reports."""

from __future__ import annotations

import asyncio
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec

from ops.batches.place import folder_name
from ops.bootstrap import Hub
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from schemas.errors import HubError

from . import queries
from .counting import Counted, CountLimits, count_once, day_of
from .reports import LaboratoryReport, as_csv, report_of

_log = get_logger(__name__)

_FORGET_EVERY: Final = 120
"""Counts between two looks at what is old."""


def limits_of(hub: Hub) -> CountLimits:
    """Return how much is counted at a time, from the settings."""
    settings = hub.settings
    return CountLimits(
        records=settings.account_batch_records,
        in_flight=settings.account_in_flight_records,
        close_seconds=settings.account_close_seconds,
    )


async def keep_account(hub: Hub) -> None:
    """Count for ever; an error of ours is counted, and the next count takes it along.

    Every dispatch process does, one at a time, so each record counts once.
    """
    turn = 0
    while True:
        behind = 0
        try:
            counted = await count_now(hub)
            behind = counted.behind
            await _figures(hub)
            await write_due(hub, hub.settings.account_reports_at_once)
            if turn % _FORGET_EVERY == 0:
                await _forget(hub)
        except HubError as error:
            METRICS.errors.labels("account", error.reason).inc()
        except OSError:
            # The disk of the reports: they stay due, and everything else goes on.
            METRICS.errors.labels("account", "reports_not_written").inc()
            _log.warning("account_reports_not_written", remedy="see docs/runbooks/account.md")
        turn += 1
        # A backlog is counted at once; else a moment is waited for.
        await asyncio.sleep(0.1 if behind else hub.settings.account_seconds)


async def count_now(hub: Hub) -> Counted:
    """Count once what has come since the last count."""
    now = hub.clock.now()
    ends = await hub.log.end_offsets() if hub.is_cluster else None
    counted = await count_once(hub.pool, ends, now, limits_of(hub))
    METRICS.account_records.inc(counted.records)
    for day in counted.closed:
        _log.info("account_day_closed", day=str(day))
    return counted


async def write_due(hub: Hub, most: int) -> int:
    """Write reports of closed days that are due; say how many. One process does it at a time.

    A file is whole or not there; a kill between the file and its row writes it once more.
    """
    with translated():
        async with hub.pool.acquire() as connection:
            if not await connection.fetchval(queries.ALONE):
                return 0
            try:
                rows = await connection.fetch(queries.TAKE_DUE, most)
                for row in rows:
                    # The row goes first: what changes meanwhile makes it due again.
                    async with connection.transaction():
                        await connection.execute(queries.NOT_DUE, row["day"], row["lab_id"])
                        await _write(hub, connection, row["day"], row["lab_id"])
                return len(rows)
            finally:
                await connection.fetchval(queries.ALONE_NO_MORE)


async def _write(hub: Hub, connection: Connection, day: date, lab_id: int) -> None:
    registry_id = await connection.fetchval(queries.LAB_NAME, lab_id)
    if registry_id is None:
        return
    report = await report_of(
        connection,
        hub.vault,
        day,
        (lab_id, registry_id),
        from_copy=hub.is_cluster,
        most_items=hub.settings.account_report_items,
    )
    oldest = day_of(hub.clock.now()) - timedelta(days=hub.settings.account_keep_days)
    await asyncio.to_thread(write_files, hub.settings.accounts_folder, report, oldest)
    METRICS.account_reports.inc()


def write_files(root: Path, report: LaboratoryReport, oldest: date) -> list[Path]:
    """Write a report as JSON and as CSV into its laboratory's folder; forget those of old days.

    Raises:
        OSError: The disk does not take them.
    """
    folder = root / folder_name(report.account.laboratory)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    written = []
    for ending, content in (
        ("json", msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"),
        ("csv", as_csv(report).encode()),
    ):
        path = folder / f"{report.account.day}.{ending}"
        scratch = folder / f".{path.name}.part"
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        written.append(path)
    for path in folder.glob("*-*-*.*"):
        if not path.name.startswith(".") and path.stem < str(oldest):
            path.unlink(missing_ok=True)
    return written


async def _figures(hub: Hub) -> None:
    with translated():
        async with hub.pool.acquire() as connection:
            row = await connection.fetchrow(queries.FIGURES)
    METRICS.account_gap.set(row["gap"])
    METRICS.account_behind.set(row["behind"])
    METRICS.account_reports_due.set(row["due"])
    if row["caught_up_at"] is not None:
        age = (hub.clock.now() - row["caught_up_at"]).total_seconds()
        METRICS.account_age.set(max(0.0, age))


async def _forget(hub: Hub) -> None:
    """Forget days and lists that are older than is set."""
    today = day_of(hub.clock.now())
    settings = hub.settings
    with translated():
        async with hub.pool.acquire() as connection:
            await connection.execute(
                queries.FORGET_DAYS, today - timedelta(days=settings.account_keep_days)
            )
            await connection.execute(
                queries.FORGET_ITEMS, today - timedelta(days=settings.account_item_days)
            )
