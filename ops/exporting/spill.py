"""What was read, parted by day and set aside until all is read: a segment is one file a table.

Reading goes partition by partition and days are written one by one, so rows wait in between on
disk. A segment that is noted is whole and durable; whoever is killed goes on behind the last one.
How large segments are changes no byte of what is written from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ops.runtime.data_folder import fsync_folder

from .columns import DAY, inside_schema_of
from .tables import Table

PIECE_ROWS: Final = 8_192
"""Of a piece: one of which a row is still to be written is held whole. Were pieces as large as
segments, memory would depend on how days lie in them, and grow with the number of tries."""
_NOTES: Final = "segments.ndjson"
_WRITING: Final = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one day in a segment's file of a table."""

    table: str
    file: str
    day: date | None
    number: int
    """Which batch of the file."""
    rows: int


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What was set aside together, and where reading stood then."""

    behind: tuple[int, ...]
    """Of every partition, the last seq that was read."""
    expired: int
    pieces: tuple[Piece, ...]


class Spill:
    """The segments of one export, in the order in which they were read.

    Args:
        folder: The export's folder for what is unfinished.
        tables: Of the stream.
    """

    def __init__(self, folder: Path, tables: Sequence[Table]) -> None:
        self._folder = folder
        self._tables = {table.name: table for table in tables}
        self.segments = list(_noted(folder / _NOTES))

    def put(
        self, rows: dict[str, list[pa.RecordBatch]], behind: Sequence[int], expired: int
    ) -> None:
        """Set a segment aside, durably."""
        pieces = [
            piece
            for name, table in self._tables.items()
            if rows.get(name)
            for piece in self._write(table, rows[name])
        ]
        segment = Segment(behind=tuple(behind), expired=expired, pieces=tuple(pieces))
        fsync_folder(self._folder)
        with (self._folder / _NOTES).open("ab") as notes:
            notes.write(msgspec.json.encode(segment) + b"\n")
            notes.flush()
            os.fsync(notes.fileno())
        self.segments.append(segment)

    def days(self, table: Table) -> list[date | None]:
        """Return the days of a table in their order, rows without one at the end."""
        found = {p.day for s in self.segments for p in s.pieces if p.table == table.name}
        return sorted(found, key=lambda day: (day is None, day or date.min))

    def rows_of(self, table: Table, day: date | None) -> Iterator[pa.Table]:
        """Yield the rows of a day in the order in which they were read."""
        for piece in self._pieces(table, day):
            with pa.memory_map(str(self._folder / piece.file)) as source:
                batch = pa.ipc.open_file(source).get_batch(piece.number)
                yield pa.Table.from_batches([batch])

    def count(self, table: Table, day: date | None) -> int:
        """Return how many rows a day has."""
        return sum(piece.rows for piece in self._pieces(table, day))

    def _pieces(self, table: Table, day: date | None) -> Iterator[Piece]:
        for segment in self.segments:
            for piece in segment.pieces:
                if piece.table == table.name and piece.day == day:
                    yield piece

    def _write(self, table: Table, batches: Sequence[pa.RecordBatch]) -> list[Piece]:
        rows = pa.Table.from_batches(batches, inside_schema_of(table)).unify_dictionaries()
        name = f"{len(self.segments):06d}-{table.name}.arrow"
        pieces: list[Piece] = []
        path = self._folder / name
        with path.open("wb") as file:
            with pa.ipc.new_file(file, rows.schema, options=_WRITING) as writer:
                for day, some in _by_day(rows):
                    for batch in some.combine_chunks().to_batches(max_chunksize=PIECE_ROWS):
                        writer.write_batch(batch)
                        pieces.append(
                            Piece(
                                table=table.name,
                                file=name,
                                day=day,
                                number=len(pieces),
                                rows=batch.num_rows,
                            )
                        )
            file.flush()
            os.fsync(file.fileno())
        return pieces


def _by_day(rows: pa.Table) -> Iterator[tuple[date | None, pa.Table]]:
    days = pc.unique(rows.column(DAY)).to_pylist()
    if len(days) == 1:
        yield days[0], rows
        return
    for day in sorted(days, key=lambda day: (day is None, day or date.min)):
        mask = (
            pc.is_null(rows.column(DAY))
            if day is None
            else pc.equal(rows.column(DAY), pa.scalar(day, pa.date32()))
        )
        yield day, rows.filter(mask)


def _noted(path: Path) -> Iterator[Segment]:
    """Yield what was noted whole; a line that a crash cut is as good as none."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    whole = [line for line in lines if line.endswith(b"\n")]
    if len(whole) < len(lines):
        path.write_bytes(b"".join(whole))
    for line in whole:
        yield msgspec.json.decode(line, type=Segment)
