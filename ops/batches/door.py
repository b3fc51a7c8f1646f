"""The batch door of one process, put together: uploads, the watched folder, retention."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

import msgspec

from ops.bootstrap import Door, Hub
from ops.runtime.lifecycle import every
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.settings import Settings
from schemas.errors import FatalError

from .folder import FolderLimits, FolderWatch
from .pace import Pace
from .peer import SenderDoor
from .runner import BatchLimits, BatchRunner
from .store import BatchStore
from .uploads import UploadLimits, Uploads

_log = get_logger(__name__)
_PURGE_SECONDS: Final = 3_600.0
_OLDEST_SECONDS: Final = 5.0


class BatchDoor(msgspec.Struct, frozen=True, kw_only=True):
    """What the api process needs of files."""

    settings: Settings
    store: BatchStore
    uploads: Uploads
    works: list[Callable[[], Coroutine[Any, Any, None]]]
    """To be run as long as the process does."""


def open_batch_door(hub: Hub, door: Door) -> BatchDoor:
    """Return the batch door on the parts of a process that takes messages.

    Raises:
        FatalError: The watched folder is not one (`settings_invalid`).
    """
    settings = hub.settings
    store = BatchStore(hub.pool, hub.vault, hub.clock)
    pace = Pace(
        share=settings.batch_share,
        patience_seconds=settings.batch_patience_seconds,
        partitions=hub.instance.partitions,
        max_lag=settings.batch_lag,
    )
    limits = BatchLimits(
        max_message_bytes=settings.max_frame_bytes,
        window_messages=settings.batch_window,
        window_bytes=settings.window_bytes,
    )
    runner = BatchRunner(store, pace, limits, hub.clock)
    acceptor = door.acceptor
    uploads = Uploads(
        settings.data_dir / "batches",
        store=store,
        runner=runner,
        # What proved it may have been a certificate: the register's word counts from here on.
        door_of=lambda sender: SenderDoor(acceptor, door.register, sender, "token"),
        closed_reason=lambda: acceptor.closed_reason,
        limits=UploadLimits(
            max_bytes=settings.batch_max_bytes,
            uploads=settings.batch_uploads,
            at_once=settings.batch_at_once,
            chunk_seconds=settings.partial_frame_seconds,
            spare_disk_bytes=settings.min_free_disk_bytes,
        ),
    )
    works: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: pace.watch(hub.log, store.handled),
        uploads.go_on,
        lambda: every(_OLDEST_SECONDS, "batch_oldest", lambda: _tell_oldest(store)),
        lambda: every(
            _PURGE_SECONDS, "batch_purge", lambda: _purge(store, settings.batch_keep_days)
        ),
    ]
    if settings.batch_dir is not None:
        works.append(_watch(hub, door, store, runner).watch)
    return BatchDoor(settings=settings, store=store, uploads=uploads, works=works)


def _watch(hub: Hub, door: Door, store: BatchStore, runner: BatchRunner) -> FolderWatch:
    settings = hub.settings
    root = settings.batch_dir
    assert root is not None
    if not root.is_dir():
        raise FatalError("settings_invalid", "batch_dir is no folder: make it, or set another")
    return FolderWatch(
        root,
        store=store,
        runner=runner,
        door_of=lambda sender: SenderDoor(door.acceptor, door.register, sender, "folder"),
        limits=FolderLimits(
            poll_seconds=settings.batch_poll_seconds,
            files=settings.batch_folder_files,
            max_bytes=settings.batch_max_bytes,
            at_once=settings.batch_at_once,
            done_days=settings.batch_done_days,
        ),
    )


async def _tell_oldest(store: BatchStore) -> None:
    METRICS.files_oldest_seconds.set(await store.oldest_seconds())


async def _purge(store: BatchStore, keep_days: int) -> None:
    gone = await store.purge(timedelta(days=keep_days))
    if gone:
        _log.info("batches_purged", count=gone)
