"""Backups by themselves: the archive of the log and a base backup now and then, beside a `run`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ops.bootstrap import Hub
from ops.runtime.key_folder import key_store_of
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent
from ops.runtime.settings import Engine, Settings
from schemas.errors import HubError

from . import folder as layout
from .archive import SLOT, WalArchive
from .taking import Pace, Source, hub_folder, take

_log = get_logger(__name__)

_LOOK_SECONDS: Final = 2.0
_FAILED_SECONDS: Final = 60.0
_KEYS_FAILED_SECONDS: Final = 10.0
_FIGURES_SECONDS: Final = 5.0

# What the archive does not have yet: of one that is not connected, all since it last was.
_LAG: Final = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(r.write_lsn, s.restart_lsn))::bigint
FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.application_name = s.slot_name
WHERE s.slot_name = $1
"""


def source_of(settings: Settings) -> Source:
    """Return what is backed up of a hub."""
    folders = (settings.data_dir, settings.keys_folder, settings.keys_copy_dir)
    return Source(
        data_dir=settings.data_dir,
        state_dir=settings.state_dir,
        forbidden=[each for each in folders if each is not None],
    )


@contextlib.asynccontextmanager
async def backed_up(settings: Settings) -> AsyncIterator[None]:
    """Archive the log and take backups while the block runs, where a folder is set for them."""
    if settings.backup_dir is None:
        yield
        return
    hub = hub_folder(settings.backup_dir, source_of(settings))
    schedule = _Schedule(settings, hub)
    archive = WalArchive(settings, hub, schedule.now)
    work = (archive.keep(), _keep_keys(settings), schedule.keep())
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(_died)
    try:
        yield
    finally:
        schedule.stopping.set()
        # The archive last of all: what the stations wrote at their end is in it.
        for task in reversed(tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await _attempt_keys(settings)


async def _keep_keys(settings: Settings) -> None:
    """Copy new keys where a purge reaches them: what is archived is no use without them.

    Beside the base backup, which takes as long as the database is large.
    """
    while True:
        is_well = await _attempt_keys(settings)
        await asyncio.sleep(_LOOK_SECONDS if is_well else _KEYS_FAILED_SECONDS)


async def _attempt_keys(settings: Settings) -> bool:
    try:
        await asyncio.to_thread(_copy_keys, settings)
    except HubError as error:
        _log.warning("keys_not_copied", reason=error.reason, remedy=error.remedy)
        return False
    return True


def _copy_keys(settings: Settings) -> None:
    if (settings.keys_folder / "master.key").exists():
        key_store_of(settings).copy_out()


def _died(task: asyncio.Task[None]) -> None:
    """End the run in order where what no class foresees has ended its backups."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("backups_died", error=type(error).__name__)
        signal.raise_signal(signal.SIGTERM)


class _Schedule:
    def __init__(self, settings: Settings, hub: Path) -> None:
        self._settings = settings
        self._hub = hub
        self._due = False
        self.stopping = threading.Event()

    def now(self) -> None:
        """Take one as soon as can be; from any thread."""
        self._due = True

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self._is_due):
                    await asyncio.to_thread(self._take)
            except HubError as error:
                _log.warning("backup_failed", reason=error.reason, remedy=error.remedy)
                await asyncio.sleep(_FAILED_SECONDS)

    def _is_due(self) -> bool:
        backups = layout.backups_in(self._hub)
        if self._due or not backups:
            return bool(list(self._hub.glob("wal-*")))
        age = (datetime.now(UTC) - backups[-1].ended_at).total_seconds()
        return age >= self._settings.backup_every_seconds

    def _take(self) -> None:
        assert self._settings.backup_dir is not None, "asked by backed_up"
        self._due = False
        try:
            backup = take(
                self._settings.backup_dir,
                source_of(self._settings),
                # Without a backup the log alone restores nothing: the first does not wait.
                Pace(
                    megabytes_per_second=self._settings.backup_megabytes_per_second,
                    at_once=not layout.backups_in(self._hub),
                    stopping=self.stopping.is_set,
                ),
                lambda _: None,
            )
        except BaseException:
            self._due = True
            raise
        gone = layout.clean(self._hub, self._settings.backup_keep)
        _log.info("backup_taken", what=backup.name, count=len(gone))


async def keep_backup_figures(hub: Hub) -> None:
    """Say how old the last backup is, and what the archive lacks; for ever."""
    settings = hub.settings
    if settings.backup_dir is None or settings.engine is not Engine.EMBEDDED:
        await asyncio.Event().wait()
        return
    folder = hub_folder(settings.backup_dir, source_of(settings))
    METRICS.backup_every.set(settings.backup_every_seconds)
    began_at = hub.clock.now()
    while True:
        backups = await asyncio.to_thread(layout.backups_in, folder)
        since = backups[-1].ended_at if backups else began_at
        METRICS.backup_age.set(max(0.0, (hub.clock.now() - since).total_seconds()))
        try:
            async with lent(hub.pool) as connection:
                lag = await connection.fetchval(_LAG, SLOT)
            METRICS.wal_archive_lag.set(max(0, lag or 0))
        except HubError as error:
            METRICS.errors.labels("backup", error.reason).inc()
        await asyncio.sleep(_FIGURES_SECONDS)
