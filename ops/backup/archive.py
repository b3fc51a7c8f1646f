"""Carries the write-ahead log to the folder of backups, as it is written.

PostgreSQL's pg_receivewal follows the server and makes every piece durable there at once. What is
not there yet the server keeps (a replication slot), up to a bound: beyond it the archive begins a
new log, and a new base backup with it.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ops.runtime.data_folder import ProcessLedger
from ops.runtime.embedded import admin_environment, ask, client_programs
from ops.runtime.logs import get_logger
from ops.runtime.settings import Settings
from schemas.errors import HubError

from . import folder as layout

_log = get_logger(__name__)

SLOT: Final = "labdispatch_archive"
"""Also the name under which the server knows it, and waits for it where it is told to."""
_SLOT_STANDS: Final = f"""
SELECT count(*) FROM pg_replication_slots
WHERE slot_name = '{SLOT}' AND wal_status IN ('reserved', 'extended');
"""  # noqa: S608 - a constant
_MAKE_SLOT: Final = f"""
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = '{SLOT}' AND NOT active;
SELECT pg_create_physical_replication_slot('{SLOT}', true);
"""  # noqa: S608
_WAIT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


def server_settings(settings: Settings) -> dict[str, str]:
    """Return what the embedded server is told of its archive."""
    if settings.backup_dir is None:
        return {}
    told = {"max_slot_wal_keep_size": f"{settings.backup_wal_keep_megabytes}MB"}
    if settings.backup_synchronous:
        told["synchronous_standby_names"] = SLOT
    return told


class WalArchive:
    """Keeps one pg_receivewal running.

    Args:
        settings: Of the run.
        hub: The folder of this hub's backups.
        on_new_log: Called when a log begins that no base backup belongs to.
    """

    def __init__(self, settings: Settings, hub: Path, on_new_log: Callable[[], None]) -> None:
        self._settings = settings
        self._hub = hub
        self._on_new_log = on_new_log
        self._ledger = ProcessLedger(settings.data_dir)

    async def keep(self) -> None:
        """Archive until cancelled; what ends it is logged, and it begins again."""
        tries = 0
        while True:
            try:
                code = await self._follow()
                _log.warning("wal_archive_stopped", exit_code=code)
            except HubError as error:
                _log.warning("wal_archive_stopped", reason=error.reason, remedy=error.remedy)
            await asyncio.sleep(_WAIT_SECONDS[min(tries, len(_WAIT_SECONDS) - 1)])
            tries += 1

    async def _follow(self) -> int:
        programs = await asyncio.to_thread(client_programs, self._settings.state_dir)
        folder = await asyncio.to_thread(self._folder, programs)
        process = await asyncio.create_subprocess_exec(
            programs / "pg_receivewal",
            f"--directory={folder}",
            f"--slot={SLOT}",
            f"--dbname=application_name={SLOT}",
            "--synchronous",
            "--no-loop",
            "--no-password",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=admin_environment(self._settings.data_dir),
            start_new_session=True,
        )
        self._ledger.record("wal-archive", process.pid)
        try:
            return await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.shield(process.wait())
            self._ledger.forget(process.pid)

    def _folder(self, programs: Path) -> Path:
        """Return the folder to go on in: a new one where the server no longer has what is next."""
        data_dir = self._settings.data_dir
        folders = sorted(self._hub.glob("wal-*"))
        if folders and ask(programs, data_dir, _SLOT_STANDS) == "1":
            return folders[-1]
        ask(programs, data_dir, _MAKE_SLOT)
        folder = self._hub / f"wal-{layout.stamp(datetime.now(UTC))}"
        folder.mkdir(mode=0o700)
        _log.info("wal_archive_begun")
        self._on_new_log()
        return folder
