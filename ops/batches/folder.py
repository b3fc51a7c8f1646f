"""The watched folder: one folder a laboratory, rename in, `.ack` out, partial files never read.

Looked at again and again rather than told of by the kernel: that works on every file system, and
what was missed while nobody looked is found. The kernel's lock on a laboratory's folder sees to it
that one process at a time takes its files, in their order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ingest.batch import FILE_REFUSED
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from schemas.errors import PermanentError, TransientError

from .batch import Batch
from .place import AnswerFile, Found, LabFolder, digest_of, lab_folders
from .runner import BatchRunner
from .store import BatchStore
from .underway import MessageDoor

_log = get_logger(__name__)
_REFUSAL: Final = b"BHS|^~\\&\rBTS|0|%b\r" % FILE_REFUSED.encode()
_TIDY_SECONDS: Final = 3_600.0
_AGAIN_SECONDS: Final = 5.0


class FolderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the watched folder."""

    poll_seconds: float
    files: int
    max_bytes: int
    at_once: int
    done_days: int


class FolderWatch:
    """Takes files out of the laboratories' folders and puts answers there.

    Args:
        root: The folder of folders.
        store: Keeps what is answered.
        runner: Reads files.
        door_of: The way in for the laboratory of this registry id.
        limits: The bounds.
    """

    def __init__(
        self,
        root: Path,
        *,
        store: BatchStore,
        runner: BatchRunner,
        door_of: Callable[[str], MessageDoor],
        limits: FolderLimits,
    ) -> None:
        self._root = root
        self._store = store
        self._runner = runner
        self._door_of = door_of
        self._limits = limits
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._rest_until: dict[str, float] = {}
        self._tidied_at: dict[str, float] = {}
        self._visited_at: dict[str, float] = {}

    async def watch(self) -> None:
        """Look for ever; a file that cannot be read now keeps its place.

        Raises:
            Exception: What nobody has classified: it ends the process, which goes on at its start.
        """
        try:
            while True:
                await self.look()
                await asyncio.sleep(self._limits.poll_seconds)
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Look once: start to work off every folder that has something, within the bound."""
        for name, task in list(self._busy.items()):
            if task.done():
                del self._busy[name]
                task.result()
        try:
            folders = await asyncio.to_thread(self._worth_a_visit)
        except OSError as error:
            METRICS.errors.labels("batch_folder", "folder_unreadable").inc()
            _log.error("batch_folder_unreadable", error=type(error).__name__)
            return
        # Whoever was not visited for longest comes first: nobody waits behind a busy neighbour.
        folders.sort(key=lambda each: self._visited_at.get(each.path.name, 0.0))
        for folder in folders:
            if len(self._busy) >= self._limits.at_once:
                METRICS.limit_hits.labels("batch_at_once").inc()
                return
            if folder.path.name not in self._busy:
                task = asyncio.create_task(self._work_off(folder))
                self._busy[folder.path.name] = task
                self._visited_at[folder.path.name] = time.monotonic()

    async def idle(self) -> None:
        """Wait until nothing is worked off any more."""
        while self._busy:
            await asyncio.wait(self._busy.values())
            for name, task in list(self._busy.items()):
                if task.done():
                    del self._busy[name]
                    task.result()

    def _worth_a_visit(self) -> list[LabFolder]:
        now = time.monotonic()
        found = []
        for folder in lab_folders(self._root):
            name = folder.path.name
            if now < self._rest_until.get(name, 0.0):
                continue
            if not folder.is_named_well:
                self._rest_until[name] = now + _TIDY_SECONDS
                _log.warning(
                    "batch_folder_ignored",
                    remedy="name it as `labdispatch labs list` names the laboratory, %XX for marks",
                )
            elif folder.has_work() or now - self._tidied_at.get(name, 0.0) > _TIDY_SECONDS:
                found.append(folder)
        return found

    async def _work_off(self, folder: LabFolder) -> None:
        """Read what waits in one laboratory's folder, one file after the other."""
        name = folder.path.name
        try:
            with folder.locked() as is_ours:
                if not is_ours:
                    return
                await asyncio.to_thread(folder.prepare)
                for begun in await asyncio.to_thread(folder.begun):
                    await self._read(folder, begun)
                waiting = await asyncio.to_thread(
                    folder.waiting, self._limits.files, self._limits.max_bytes
                )
                for found in waiting:
                    await self._read_new(folder, found)
                await self._tidy(folder)
        except (TransientError, PermanentError) as error:
            METRICS.errors.labels("batch_folder", error.reason).inc()
            _log.warning("batch_waits", reason=error.reason, remedy=error.remedy)
            self._rest_until[name] = time.monotonic() + _AGAIN_SECONDS
        except OSError as error:
            # A full disk, a folder that lost its rights: nothing is lost, a person must look.
            METRICS.errors.labels("batch_folder", "folder_unusable").inc()
            _log.error(
                "batch_folder_unusable",
                error=type(error).__name__,
                remedy="give this user the folder's rights, and room",
            )
            self._rest_until[name] = time.monotonic() + _AGAIN_SECONDS

    async def _read_new(self, folder: LabFolder, found: Found) -> None:
        if found.fault:
            await self._refuse(folder, found, "in")
        elif await asyncio.to_thread(folder.take, found.name):
            await self._read(folder, found.name)

    async def _read(self, folder: LabFolder, name: str) -> None:
        file = await _opened(folder, name)
        if file is None:
            await self._refuse(folder, Found(name=name, fault="special"), "work")
            return
        with file:
            content, size = await asyncio.to_thread(digest_of, file)
            if size > self._limits.max_bytes:
                await self._refuse(folder, Found(name=name, fault="size"), "work")
                return
            batch = await self._store.begin(
                door="folder",
                sender=folder.registry_id,
                name=name,
                content=content,
                size_bytes=size,
            )
            await self._runner.run(batch, file, self._door_of(folder.registry_id))
        _log.info("batch_done", count=batch.reading.reader.messages)
        goal = "done" if await self._answer(folder, name, batch) else "failed"
        await asyncio.to_thread(folder.put_away, name, "work", goal)

    async def _answer(self, folder: LabFolder, name: str, batch: Batch) -> bool:
        """Write `out/NAME.ack`; False where the answer is not there any more."""
        answer = await asyncio.to_thread(AnswerFile, folder, name)
        try:
            async for piece in self._store.answers(batch):
                await asyncio.to_thread(answer.write, piece)
            await asyncio.to_thread(answer.finish)
        except PermanentError as error:
            METRICS.errors.labels("batch_folder", error.reason).inc()
            answer.give_up()
            return False
        except BaseException:
            answer.give_up()
            raise
        return True

    async def _refuse(self, folder: LabFolder, found: Found, source: str) -> None:
        """Put aside what is no file that may be taken, and say so where that can be said."""
        METRICS.files.labels("refused").inc()
        METRICS.file_findings.labels(FILE_REFUSED).inc()
        _log.warning("batch_file_refused", reason=f"batch_file_{found.fault}")
        if found.fault != "name":
            answer = await asyncio.to_thread(AnswerFile, folder, found.name)
            answer.write(_REFUSAL)
            await asyncio.to_thread(answer.finish)
        await asyncio.to_thread(folder.put_away, found.name, source, "failed")

    async def _tidy(self, folder: LabFolder) -> None:
        name = folder.path.name
        if time.monotonic() - self._tidied_at.get(name, -_TIDY_SECONDS) < _TIDY_SECONDS:
            return
        self._tidied_at[name] = time.monotonic()
        await asyncio.to_thread(folder.forget_old, self._limits.done_days)


async def _opened(folder: LabFolder, name: str) -> BinaryIO | None:
    """Open a file in a thread; one that comes after we were told to stop is closed at once."""
    opening = asyncio.ensure_future(asyncio.to_thread(folder.open_begun, name))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Future[BinaryIO | None]) -> None:
    if not opening.cancelled() and opening.exception() is None and (file := opening.result()):
        file.close()
