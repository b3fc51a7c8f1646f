"""Writes an export: reads an extraction once, sets it aside by day, writes day after day.

Whoever is killed goes on behind the last segment that was read, or behind the last file that was
written, of the same extraction; what is there at the end is byte for byte what it would have been.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from datetime import date
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
import pyarrow as pa

from ops.runtime import failpoints
from ops.runtime.lifecycle import give_memory_back
from ops.runtime.postgres import Pool
from routing.outbox_reader import Opener
from schemas.errors import FatalError, PermanentError

from .blocks import Block, BlockReader
from .columns import Converted, Converter, Fits
from .extraction import Extraction
from .files import FILE_ROWS, WRITTEN_WITH, digest_of, grouped, sheet
from .manifest import UNFINISHED, Manifest, Written, put, write_manifest
from .spill import Spill
from .tables import TABLES, Table

SEGMENT_ROWS: Final = 65_536
SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Of bodies in clear: what is held in memory at most before it is set aside."""
SEGMENT_EVENTS: Final = 1_048_576
"""So that a long way without a row asked for is noted too."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class Tell(Protocol):
    """Hears how far an export is."""

    def reading(self, events: int, total: int) -> None:
        """So many events of the extraction were read."""
        ...

    def writing(self, rows: int, total: int) -> None:
        """So many rows are in files that are whole."""
        ...


class Exporter:
    """Writes one export to its folder.

    Args:
        pool: Connections of the role that looks.
        opener: The vault.
        folder: Held by the caller (`held_folder`).
        manifest: What is asked, and what an earlier run has written.
        extraction: That of the manifest.
        fits: The filter of the ask; None: every row.
        tell: Hears how far it is.
        segment_rows: How many rows are held in memory at most.
    """

    def __init__(
        self,
        pool: Pool,
        opener: Opener,
        folder: Path,
        manifest: Manifest,
        extraction: Extraction,
        *,
        tell: Tell,
        fits: Fits | None = None,
        segment_rows: int = SEGMENT_ROWS,
    ) -> None:
        self._folder = folder
        self._scratch = folder / UNFINISHED
        self._manifest = manifest
        self._extraction = extraction
        self._reader = BlockReader(pool, extraction, manifest.ask)
        self._converter = Converter(opener, manifest.ask, fits)
        self._tables = TABLES[manifest.ask.stream]
        self._tell = tell
        self._segment_rows = segment_rows
        self._stopped = threading.Event()
        # One thread, and no other: each that allocates keeps memory of its own, and a shared pool
        # hands a block to another one each time until all of them have theirs.
        self._hand = ThreadPoolExecutor(max_workers=1, thread_name_prefix="export")

    async def run(self) -> Manifest:
        """Read and write what is left, and return the manifest of the whole.

        Raises:
            PermanentError: Retention has taken part of the extraction, or an event is damaged.
            TransientError: The database is away: the same again goes on.
            FatalError: `export_damaged`: what was set aside is not what was written.
        """
        if not self._manifest.complete:
            self._check_library()
            try:
                await self._work()
            finally:
                self._hand.shutdown(wait=False)
        shutil.rmtree(self._scratch)
        return self._manifest

    def _check_library(self) -> None:
        begun = self._manifest.written_with
        if begun != WRITTEN_WITH:
            raise PermanentError(
                "other_library",
                f"it was begun with {begun}, this is {WRITTEN_WITH}: its bytes would differ;"
                " export to another folder",
            )

    async def _work(self) -> None:
        spill = Spill(self._scratch, self._tables)
        try:
            await self._read(spill)
            await self._in_thread(self._write, spill)
        except pa.ArrowException as error:
            raise FatalError(
                "export_damaged",
                f"{type(error).__name__}: what was set aside is damaged; remove the folder and"
                " export again",
            ) from None

    async def _in_thread(self, work: Callable[[Given], Made], given: Given) -> Made:
        """Do work in a thread; whoever is interrupted meanwhile ends after it, and with the folder.

        A thread ends by itself alone. While it writes, the folder must not be another's.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._hand, work, given)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            self._stopped.set()
            while not doing.done():  # a row group at most, however often it is asked
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([doing])
            raise

    async def _read(self, spill: Spill) -> None:
        begins = [each - 1 for each in self._extraction.begins]
        behind = list(spill.segments[-1].behind) if spill.segments else begins
        segment = _Segment(behind)
        done = sum(behind) - sum(begins)
        async with aclosing(self._reader.blocks(tuple(behind))) as blocks:
            async for block in blocks:
                converted = await self._in_thread(self._converter.convert, block)
                self._reader.note(block.rows, converted.plain_bytes)
                segment.add(block, converted)
                done += block.last - block.after
                self._tell.reading(done, self._extraction.events)
                if segment.is_full(self._segment_rows):
                    await self._in_thread(segment.put, spill)
                    failpoints.hit("export.after_segment")
        if segment.events:
            await self._in_thread(segment.put, spill)

    def _write(self, spill: Spill) -> None:
        pieces = [piece for segment in spill.segments for piece in segment.pieces]
        total = sum(piece.rows for piece in pieces)
        self._keep_whole()
        for table in self._tables:
            for day in spill.days(table):
                self._write_day(spill, table, day)
                if self._stopped.is_set():
                    return
                self._tell.writing(self._manifest.rows, total)
        self._note(
            complete=True,
            events=self._extraction.events,
            expired=sum(segment.expired for segment in spill.segments),
        )

    def _keep_whole(self) -> None:
        """Forget files of an earlier run that are not what was noted: they are written again."""
        kept = [
            each
            for each in self._manifest.files
            if (path := self._folder / each.path).is_file() and digest_of(path) == each.sha256
        ]
        self._note(files=tuple(kept))

    def _write_day(self, spill: Spill, table: Table, day: date | None) -> None:
        of_day = [f for f in self._manifest.files if (f.table, f.day) == (table.name, day)]
        if sum(each.rows for each in of_day) == spill.count(table, day):
            return
        noted = {each.path for each in of_day}
        for number, groups in enumerate(_in_files(grouped(spill.rows_of(table, day), table))):
            path = self._path(table, day, number)
            if path in noted:
                continue
            scratch = self._scratch / f"writing.{self._manifest.ask.form.value}"
            rows = 0
            with sheet(scratch, table, self._manifest.ask.form) as file:
                for group in groups:
                    if self._stopped.is_set():
                        return
                    file.write(group)
                    rows += group.num_rows
            written = Written(
                path=path,
                table=table.name,
                day=day,
                rows=rows,
                size_bytes=scratch.stat().st_size,
                sha256=digest_of(scratch),
            )
            put(self._folder / path, scratch)
            give_memory_back()
            self._note(files=(*self._manifest.files, written))
            failpoints.hit("export.after_file")

    def _path(self, table: Table, day: date | None, number: int) -> str:
        folder = "__HIVE_DEFAULT_PARTITION__" if day is None else day.isoformat()
        return f"{table.name}/day={folder}/part-{number:04d}.{self._manifest.ask.form.value}"

    def _note(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self._manifest, **changes)
        if changed != self._manifest:
            order = tuple(sorted(changed.files, key=lambda each: each.path))
            self._manifest = msgspec.structs.replace(changed, files=order)
            write_manifest(self._folder, self._manifest)


class _Segment:
    """What was read and is not set aside yet."""

    def __init__(self, behind: list[int]) -> None:
        self._behind = behind
        self._empty()

    def _empty(self) -> None:
        self._rows: dict[str, list[pa.RecordBatch]] = {}
        self._expired = self._count = self._bytes = self.events = 0

    def add(self, block: Block, converted: Converted) -> None:
        """Take the rows of a block."""
        for name, batch in converted.rows.items():
            self._rows.setdefault(name, []).append(batch)
            self._count += batch.num_rows
        self._behind[block.partition] = block.last
        self.events += block.last - block.after
        self._bytes += converted.plain_bytes
        self._expired += converted.expired

    def is_full(self, rows: int) -> bool:
        """Say whether it is to be set aside."""
        return self._count >= rows or self._bytes >= SEGMENT_BYTES or self.events >= SEGMENT_EVENTS

    def put(self, spill: Spill) -> None:
        """Set it aside, and begin anew."""
        spill.put(self._rows, self._behind, self._expired)
        self._empty()
        give_memory_back()


def _in_files(groups: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Yield the groups of one file after the other; what is not taken of a file is passed over."""
    held = next(groups, None)

    def one_file() -> Iterator[pa.Table]:
        nonlocal held
        rows = 0
        while held is not None and (not rows or rows + held.num_rows <= FILE_ROWS):
            rows += held.num_rows
            yield held
            held = next(groups, None)

    while held is not None:
        groups_of_file = one_file()
        yield groups_of_file
        for _ in groups_of_file:
            pass
