"""Blocks of a stream as Arrow columns, with the types that files have."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from routing.outbox_reader import Opener
from schemas.errors import PermanentError

from .blocks import CODE_SEPARATOR, CODES, Block
from .manifest import Ask, State
from .tables import REPLACED, TABLES, Column, Kind, Table, table_of_rule

DAY: Final = "__day"
"""The column by which rows are parted; files do not have it, their folder tells it."""

_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    Kind.TEXT: pa.string(),
    Kind.CODE: pa.string(),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.DAY: pa.date32(),
    Kind.MOMENT: pa.timestamp("us", "UTC"),
    Kind.WHOLE: pa.int32(),
    Kind.LONG: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.JSON: pa.string(),
}
_INSIDE: Final = {**_TYPES, Kind.CODE: pa.dictionary(pa.int32(), pa.string())}
_EPOCH_MICROS: Final = 946_684_800_000_000  # 2000-01-01, from where PostgreSQL counts
_UUID_TEXT: Final = 36
_EXPIRED: Final = b"expired"
"""Stands for a body whose retention has passed; told from any other by identity."""

Fits = Callable[[bytes], bool]
"""Says whether a body, as JSON, is asked for."""


class Converted(NamedTuple):
    """The rows of a block, by table."""

    rows: dict[str, pa.RecordBatch]
    expired: int
    """How many of its events could be opened no more."""
    plain_bytes: int


def schema_of(table: Table) -> pa.Schema:
    """Return the schema of a table's files."""
    return pa.schema([pa.field(each.name, _TYPES[each.kind]) for each in table.columns])


class Converter:
    """Opens the bodies of blocks and lays them out as columns.

    Args:
        opener: The vault.
        ask: Which rows; what is not asked for is left out.
        fits: Says of a body whether it is asked for; None: all are.
    """

    def __init__(self, opener: Opener, ask: Ask, fits: Fits | None = None) -> None:
        self._opener = opener
        self._ask = ask
        self._fits = fits
        self._read_as = {table.name: _read_schema_of(table) for table in TABLES[ask.stream]}

    def convert(self, block: Block) -> Converted:
        """Return the rows of a block.

        Raises:
            PermanentError: `unreadable_payload`, with the event's place.
        """
        bodies, expired = self._open(block)
        if not block.rows:
            return Converted({}, expired, 0)
        header = _header(block)
        found = {}
        for table, kept in self._kept(block, bodies, is_whole=not expired):
            rows = self._rows(table, header, bodies, kept)
            if rows.num_rows:
                found[table.name] = rows
        return Converted(found, expired, sum(len(each) for each in bodies if each))

    def _kept(
        self, block: Block, bodies: Sequence[bytes | None], *, is_whole: bool
    ) -> list[tuple[Table, list[int] | None]]:
        """Return which rows each table has; None: all of them."""
        tables = TABLES[self._ask.stream]
        place = CODES.index("rule")
        of_codes = {
            codes: table_of_rule(self._ask.stream, codes.split(CODE_SEPARATOR)[place]).name
            for codes in set(block.codes)
        }
        names = set(of_codes.values())
        if is_whole and len(names) == 1:
            return [(table, None) for table in tables if table.name in names]
        rows: dict[str, list[int]] = {table.name: [] for table in tables}
        for row, codes in enumerate(block.codes):
            if bodies[row] is not _EXPIRED:
                rows[of_codes[codes]].append(row)
        return [(table, rows[table.name]) for table in tables if rows[table.name]]

    def _open(self, block: Block) -> tuple[list[bytes | None], int]:
        opened: list[bytes | None] = []
        raw, expired, opener = block.raw_events, 0, self._opener.open
        for row, payload in enumerate(block.payloads):
            if payload is None:
                opened.append(None)
                continue
            try:
                opened.append(opener(payload, raw[16 * row : 16 * row + 16]))
            except PermanentError as error:
                if error.reason != "key_destroyed":
                    raise PermanentError(
                        error.reason,
                        f"partition {block.partition}, behind seq {block.after}: {error.remedy}",
                    ) from None
                opened.append(_EXPIRED)
                expired += 1
        return opened, expired

    def _rows(
        self,
        table: Table,
        header: Mapping[str, pa.Array],
        bodies: Sequence[bytes | None],
        kept: Sequence[int] | None,
    ) -> pa.RecordBatch:
        if kept is not None:
            chosen = pa.array(kept, pa.int64())
            header = {name: each.take(chosen) for name, each in header.items()}
            bodies = [bodies[row] for row in kept]
        if table.body is None:
            columns = {"body": pa.array([b and b.decode() for b in bodies], pa.string())}
        else:
            columns = self._bodies(table, bodies)
        day = self._day(table, header, columns)
        arrays = [columns[c.name] if c.is_body else header[c.name] for c in table.columns]
        batch = pa.record_batch([*arrays, day], schema=inside_schema_of(table))
        return self._asked(table, batch, bodies)

    def _bodies(self, table: Table, bodies: Sequence[bytes | None]) -> dict[str, pa.Array]:
        """Return the fields of bodies; of one that is not there each is null."""
        lines = b"\n".join([b"{}" if each is None else each for each in bodies])
        read = json.read_json(
            pa.BufferReader(lines),
            json.ReadOptions(use_threads=False, block_size=len(lines) + 1),  # one block: one chunk
            json.ParseOptions(
                explicit_schema=self._read_as[table.name], unexpected_field_behavior="ignore"
            ),
        )
        return {
            each.name: _column(each, read.column(each.name).combine_chunks())
            for each in table.columns
            if each.is_body
        }

    def _day(
        self, table: Table, header: Mapping[str, pa.Array], columns: Mapping[str, pa.Array]
    ) -> pa.Array:
        """Return the day by which rows are parted: of sampling in `latest`, else of emission."""
        if self._ask.state is State.LATEST and table.sampled:
            first, *others = (_dated(columns[name]) for name in table.sampled)
            return pc.coalesce(first, *others) if others else first
        return header["emitted_at"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)

    def _asked(
        self, table: Table, batch: pa.RecordBatch, bodies: Sequence[bytes | None]
    ) -> pa.RecordBatch:
        """Leave out what is not asked for; as in a filter, a row without a day fits any range."""
        mask = None
        if self._fits is not None:
            mask = pa.array([each is not None and self._fits(each) for each in bodies], pa.bool_())
        whole = table.name == REPLACED.name and self._ask.state is State.LATEST
        day = batch.column(batch.num_columns - 1)
        asked = ((self._ask.since, pc.greater_equal), (self._ask.until, pc.less_equal))
        for bound, compare in asked:
            if bound is not None and not whole:
                within = pc.fill_null(compare(day, pa.scalar(bound, pa.date32())), True)
                mask = within if mask is None else pc.and_(mask, within)
        return batch if mask is None else batch.filter(mask)


def inside_schema_of(table: Table) -> pa.Schema:
    """Return the schema of a table's rows on their way: codes by number, and the day."""
    fields = [pa.field(each.name, _INSIDE[each.kind]) for each in table.columns]
    return pa.schema([*fields, pa.field(DAY, pa.date32())])


def _read_schema_of(table: Table) -> pa.Schema:
    """Return the types by which bodies are read: codes and days are texts at first."""
    texts = {Kind.CODE, Kind.DAY}
    return pa.schema(
        [
            pa.field(each.name, pa.string() if each.kind in texts else _TYPES[each.kind])
            for each in table.columns
            if each.is_body
        ]
    )


def grouped_schema_of(table: Table) -> pa.Schema:
    """Return the schema of rows as they are written: codes by number, which files store so."""
    return pa.schema(list(inside_schema_of(table))[:-1])


def normalised(rows: pa.Table, table: Table) -> pa.Table:
    """Return rows of which equal ones are equal in memory too, without the day.

    The same codes may have come by other numbers, with others beside them: here the texts that
    these rows name are numbered in their order.
    """
    columns = []
    for column in table.columns:
        values = rows.column(column.name).combine_chunks()
        if column.kind is Kind.CODE:
            held = values.dictionary.to_pylist()
            used = sorted(held[n] for n in pc.drop_null(pc.unique(values.indices)).to_pylist())
            number = {text: n for n, text in enumerate(used)}
            numbers = pa.array([number.get(text) for text in held], pa.int32())
            values = pa.DictionaryArray.from_arrays(
                numbers.take(values.indices), pa.array(used, pa.string())
            )
        columns.append(values)
    return pa.table(columns, schema=grouped_schema_of(table))


def _header(block: Block) -> dict[str, pa.Array]:
    rows = block.rows
    moments = _whole(block.moments, "q")
    return {
        "report_id": _ids(block.reports, rows),
        "event_id": _ids(block.events, rows),
        "event_version": _numbers(_whole(block.versions, "i"), pa.int32(), rows),
        "seq": _numbers(_whole(block.seqs, "q"), pa.int64(), rows),
        "person_version": _numbers(_whole(block.persons, "q"), pa.int64(), rows),
        "partition": pa.repeat(pa.scalar(block.partition, pa.int32()), rows),
        "emitted_at": pc.add(
            _numbers(moments, pa.int64(), rows), pa.scalar(_EPOCH_MICROS, pa.int64())
        ).view(_TYPES[Kind.MOMENT]),
        **_codes(block.codes),
    }


def _codes(rows: list[str]) -> dict[str, pa.Array]:
    """Part rows of codes: they are few, so that each is taken apart once."""
    encoded = pa.array(rows, pa.string()).dictionary_encode()
    parts = [each.split(CODE_SEPARATOR) for each in encoded.dictionary.to_pylist()]
    return {
        name: _referred(encoded.indices, [each[place] for each in parts])
        for place, name in enumerate(CODES)
    }


def _column(column: Column, values: pa.Array) -> pa.Array:
    """Return a column of a body; what is empty in the stream is null."""
    match column.kind:
        case Kind.CODE:
            encoded = values.dictionary_encode()
            return _referred(encoded.indices, encoded.dictionary.to_pylist())
        case Kind.DAY:
            return _days_of(values)
        case Kind.TEXT:
            return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        case _:
            return values


def _referred(indices: pa.Array, values: Sequence[str | None]) -> pa.Array:
    """Return texts by number, the numbers in the order of the texts; an empty one is null."""
    ordered = sorted({each for each in values if each})
    number = {text: n for n, text in enumerate(ordered)}
    renumbered = pa.array([number.get(each or "") for each in values], pa.int32())
    return pa.DictionaryArray.from_arrays(renumbered.take(indices), pa.array(ordered, pa.string()))


def _days_of(texts: pa.Array) -> pa.Array:
    """Return the days of ISO dates and times; null where one names no day."""
    encoded = texts.dictionary_encode()
    days = [_day_of(each) for each in encoded.dictionary.to_pylist()]
    return pa.array(days, pa.date32()).take(encoded.indices)


def _dated(column: pa.Array) -> pa.Array:
    return column if column.type == pa.date32() else _days_of(column)


def _day_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None  # a laboratory that knows the month alone


def _ids(text: str, rows: int) -> pa.Array:
    ends = array("i", range(0, _UUID_TEXT * (rows + 1), _UUID_TEXT))
    return pa.StringArray.from_buffers(rows, pa.py_buffer(ends), pa.py_buffer(text.encode()))


def _whole(big_endian: bytes, code: str) -> array[int]:
    numbers = array(code)
    numbers.frombytes(big_endian)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _numbers(numbers: array[int], kind: pa.DataType, rows: int) -> pa.Array:
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(numbers)])
