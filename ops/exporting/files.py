"""The files of an export: Parquet with zstd, or CSV. The same rows give the same bytes.

What a file holds does not depend on how its rows were read: rows are grouped anew by their number,
and nothing of the moment or the machine is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from .columns import grouped_schema_of, normalised, schema_of
from .lines import JOINER
from .manifest import Form
from .tables import BUNDLE, Kind, Table

WRITTEN_WITH: Final = f"pyarrow {pa.__version__}"
GROUP_ROWS: Final = 65_536
"""Rows of a row group: what a reader takes at a time, and what is held here."""
BUNDLE_GROUP_ROWS: Final = 2_048
GROUP_BYTES: Final = 64 * 1024 * 1024
"""Of JSON in a row group of the dossier."""
FILE_ROWS: Final = 4_194_304
LEVEL: Final = 1
"""Of zstd: on these columns higher ones give larger files, and take longer."""


class Sheet(Protocol):
    """A file under way."""

    def write(self, rows: pa.Table) -> None:
        """Add a row group."""
        ...


@contextmanager
def sheet(path: Path, table: Table, form: Form) -> Iterator[Sheet]:
    """Open a new file for the rows of a table."""
    if form is Form.PARQUET:
        # What Arrow notes of its own types would make readers give categories for codes.
        with parquet.ParquetWriter(
            path,
            grouped_schema_of(table),
            compression="zstd",
            compression_level=LEVEL,
            version="2.6",
            store_schema=False,
        ) as writer:
            yield _ParquetSheet(writer)
        return
    options = csv.WriteOptions(include_header=False)
    names = ",".join(f'"{column.name}"' for column in table.columns) + "\n"
    with pa.OSFile(str(path), "wb") as file:
        file.write(names.encode())
        with csv.CSVWriter(file, _flat_schema(table), write_options=options) as writer:
            yield _CsvSheet(writer, table)


class _ParquetSheet:
    def __init__(self, writer: parquet.ParquetWriter) -> None:
        self._writer = writer

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))


class _CsvSheet:
    def __init__(self, writer: Any, table: Table) -> None:
        self._writer = writer
        self._table = table

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(_flat(rows, self._table))


def grouped(parts: Iterable[pa.Table], table: Table) -> Iterator[pa.Table]:
    """Yield rows in groups whose bounds and bytes only the rows themselves decide."""
    held: list[pa.Table] = []
    rows = 0
    most = BUNDLE_GROUP_ROWS if table.name == BUNDLE.name else GROUP_ROWS
    for part in parts:
        left = part
        while rows + left.num_rows >= most:
            taken = most - rows
            yield from _narrowed([*held, left.slice(0, taken)], table)
            held, rows = [], 0
            left = left.slice(taken)
        if left.num_rows:
            held.append(left)
            rows += left.num_rows
    if held:
        yield from _narrowed(held, table)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _narrowed(parts: list[pa.Table], table: Table) -> Iterator[pa.Table]:
    """Cut a group of whole reports where their text is too much for one."""
    rows = pa.concat_tables(parts).unify_dictionaries()
    if table.name != BUNDLE.name:
        yield normalised(rows, table)
        return
    lengths = pc.fill_null(pc.binary_length(rows.column("body")), 0).to_pylist()
    begin, size = 0, 0
    for row, length in enumerate(lengths):
        if size and size + length > GROUP_BYTES:
            yield normalised(rows.slice(begin, row - begin), table)
            begin, size = row, 0
        size += length
    yield normalised(rows.slice(begin), table)


def _flat_schema(table: Table) -> pa.Schema:
    fields = []
    for field, column in zip(schema_of(table), table.columns, strict=True):
        is_text = column.kind in {Kind.TEXTS, Kind.MOMENT}
        fields.append(pa.field(field.name, pa.string()) if is_text else field)
    return pa.schema(fields)


def _flat(rows: pa.Table, table: Table) -> pa.Table:
    """Return rows as CSV can hold them: several texts joined, moments as ISO 8601."""
    columns = []
    for column in table.columns:
        values = rows.column(column.name)
        if column.kind is Kind.TEXTS:
            values = pc.binary_join(values, JOINER)
        elif column.kind is Kind.MOMENT:
            values = pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
        elif column.kind is Kind.CODE:
            values = values.cast(pa.string())
        columns.append(values)
    return pa.table(columns, schema=_flat_schema(table))
