"""Files that came over HTTP: spooled to the disk as they come, read like those of a folder.

A body is never whole in memory. Its file lies in the data folder (0600) until it is read, and a
restart goes on with it; the kernel's lock on the file says which process reads it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import msgspec

from ops.runtime.data_folder import fsync_folder, make_folder
from ops.runtime.ids import new_message_id
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from schemas.errors import HubError, PermanentError, TransientError

from .batch import Batch
from .place import has_room
from .runner import BatchRunner
from .store import BatchStore
from .underway import MessageDoor

_log = get_logger(__name__)
_LOOK_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 5.0
_ROOM_EVERY_BYTES: Final = 16 * 1024 * 1024
_WAITING_FILES: Final = 1_000


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of uploads."""

    max_bytes: int
    uploads: int
    at_once: int
    chunk_seconds: float
    spare_disk_bytes: int


class TooLarge(PermanentError):
    """A body is larger than a file may be."""


@dataclass(slots=True)
class _Spooled:
    batch_id: UUID
    path: Path
    file: BinaryIO
    content: bytes = b""
    size: int = 0


class Uploads:
    """Takes bodies in and reads them.

    Args:
        folder: Where they are spooled; made (0700) if missing.
        store: Keeps what is answered.
        runner: Reads files.
        door_of: The way in for a sender.
        closed_reason: Why nothing can be taken now; empty while the door is open.
        limits: The bounds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store: BatchStore,
        runner: BatchRunner,
        door_of: Callable[[str], MessageDoor],
        closed_reason: Callable[[], str],
        limits: UploadLimits,
    ) -> None:
        self._folder = make_folder(folder)
        self._store = store
        self._runner = runner
        self._door_of = door_of
        self._closed_reason = closed_reason
        self._limits = limits
        self._uploading = 0
        self._at_once = asyncio.Semaphore(limits.at_once)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._rest_until: dict[UUID, float] = {}

    def check_open(self) -> None:
        """Let a body come, or say that it cannot.

        Raises:
            TransientError: The door is closed, or as many come as may; nothing was read.
        """
        reason = self._closed_reason()
        if reason:
            raise TransientError(reason, "send the same file again later")
        if self._uploading >= self._limits.uploads or len(self._tasks) >= _WAITING_FILES:
            METRICS.limit_hits.labels("batch_uploads").inc()
            raise TransientError("batch_uploads", "others are being taken in: send it again soon")

    async def take(self, name: str, sender: str, chunks: AsyncIterator[bytes]) -> Batch:
        """Take a body in and begin to read it, or find the batch that it was before.

        Raises:
            TooLarge: It is larger than a file may be.
            TransientError: No room, too slow, or the database is away; nothing is kept.
        """
        self.check_open()
        self._uploading += 1
        try:
            spooled = await self._spool(chunks)
        finally:
            self._uploading -= 1
        try:
            batch = await self._store.begin(
                door="http",
                sender=sender,
                name=name or spooled.content.hex(),
                content=spooled.content,
                size_bytes=spooled.size,
                batch_id=spooled.batch_id,
            )
        except BaseException:
            _drop(spooled)
            raise
        path = self._folder / f"{batch.batch_id}.hl7"
        if batch.batch_id == spooled.batch_id:
            self._start(batch, spooled)
        elif batch.state == "done" or batch.batch_id in self._tasks or path.exists():
            _drop(spooled)
        else:
            # It was begun and its bytes are gone (another machine's, a disk that was lost): these
            # are the same bytes. Should it be read elsewhere all the same, one of both keeps it.
            spooled.path.rename(path)
            spooled.path = path
            self._start(batch, spooled)
        return batch

    async def wait(self, batch: Batch, seconds: float) -> Batch:
        """Return the batch as it stands once it is done, or after so long."""
        task = self._tasks.get(batch.batch_id)
        if task is not None:
            await asyncio.wait([task], timeout=seconds)
        return await self._store.find(batch.batch_id) or batch

    async def go_on(self) -> None:
        """For ever: read what a stop or a closed door left behind; forget what is done.

        Raises:
            Exception: What nobody has classified: it ends the process, which goes on at its start.
        """
        try:
            while True:
                for batch_id, task in list(self._tasks.items()):
                    if task.done():
                        del self._tasks[batch_id]
                        task.result()
                await self._look()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        now = time.monotonic()
        for path in await asyncio.to_thread(_spooled_files, self._folder):
            batch_id = _id_of(path)
            if batch_id is None:
                await asyncio.to_thread(_drop_if_free, path)
            elif batch_id not in self._tasks and now >= self._rest_until.get(batch_id, 0.0):
                await self._go_on_with(batch_id, path)

    async def _go_on_with(self, batch_id: UUID, path: Path) -> None:
        file = await asyncio.to_thread(_open_if_free, path)
        if file is None:
            return
        spooled = _Spooled(batch_id=batch_id, path=path, file=file)
        try:
            batch = await self._store.find(batch_id)
        except TransientError:
            file.close()
            return
        if batch is None or batch.state == "done":
            # Its sender was never told of it, or has the answer already.
            _drop(spooled)
            self._rest_until.pop(batch_id, None)
        else:
            self._start(batch, spooled)

    def _start(self, batch: Batch, spooled: _Spooled) -> None:
        task = asyncio.create_task(self._read(batch, spooled))
        self._tasks[batch.batch_id] = task

    async def _read(self, batch: Batch, spooled: _Spooled) -> None:
        try:
            async with self._at_once:
                await self._runner.run(batch, spooled.file, self._door_of(batch.sender))
        except (TransientError, PermanentError, OSError) as error:
            reason = error.reason if isinstance(error, HubError) else "spool_unreadable"
            METRICS.errors.labels("batch_upload", reason).inc()
            _log.warning("batch_waits", reason=reason)
            self._rest_until[batch.batch_id] = time.monotonic() + _AGAIN_SECONDS
        else:
            _log.info("batch_done", count=batch.reading.reader.messages)
            self._rest_until.pop(batch.batch_id, None)
            spooled.path.unlink(missing_ok=True)
        finally:
            spooled.file.close()

    async def _spool(self, chunks: AsyncIterator[bytes]) -> _Spooled:
        batch_id = new_message_id()
        part = self._folder / f"{batch_id}.part"
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spooled = _Spooled(batch_id=batch_id, path=part, file=os.fdopen(handle, "w+b"))
        try:
            await self._fill(spooled, chunks)
            await asyncio.to_thread(_make_durable, spooled.file)
            whole = part.with_suffix(".hl7")
            part.rename(whole)
            spooled.path = whole
            await asyncio.to_thread(fsync_folder, self._folder)
        except BaseException:
            _drop(spooled)
            raise
        return spooled

    async def _fill(self, spooled: _Spooled, chunks: AsyncIterator[bytes]) -> None:
        digest, checked_at = sha256(), -_ROOM_EVERY_BYTES
        limits = self._limits
        while True:
            try:
                async with asyncio.timeout(limits.chunk_seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                METRICS.limit_hits.labels("batch_chunk_seconds").inc()
                raise TransientError("batch_slow", "the body came too slowly: send again") from None
            if chunk is None:
                break
            spooled.size += len(chunk)
            if spooled.size > limits.max_bytes:
                METRICS.limit_hits.labels("batch_max_bytes").inc()
                raise TooLarge("batch_too_large", f"a file may have {limits.max_bytes:,} bytes")
            if spooled.size - checked_at >= _ROOM_EVERY_BYTES:
                checked_at = spooled.size
                if not has_room(self._folder, _ROOM_EVERY_BYTES, limits.spare_disk_bytes):
                    raise TransientError("disk_low", "send the same file again later")
            digest.update(chunk)
            await asyncio.to_thread(spooled.file.write, chunk)
        spooled.content = digest.digest()


def _make_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _spooled_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".hl7", ".part"})


def _id_of(path: Path) -> UUID | None:
    """Return the batch of a whole spooled file, None for one that never became whole."""
    try:
        return UUID(path.stem) if path.suffix == ".hl7" else None
    except ValueError:
        return None


def _open_if_free(path: Path) -> BinaryIO | None:
    """Open and lock a spooled file; None where another process has it, or it is gone."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if os.fstat(file.fileno()).st_nlink == 0:
        file.close()
        return None
    return file


def _drop_if_free(path: Path) -> None:
    file = _open_if_free(path)
    if file is not None:
        path.unlink(missing_ok=True)
        file.close()


def _drop(spooled: _Spooled) -> None:
    spooled.path.unlink(missing_ok=True)
    spooled.file.close()
