"""Rows as one Parquet file: typed columns, null where a value is withheld."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from .columns import Rows

_TEXTS: Final = ("condition", "area", "period", "label", "age_class", "sex", "flags")
_FLOATS: Final = ("incidence", "positivity", "screening", "within_1", "within_2", "within_3")


class RowsFile:
    """Rows written page by page as one Parquet file, compressed with Zstandard.

    Args:
        file: What it is written into.
        columns: Of every page.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._schema = pa.schema([(name, _type_of(name)) for name in columns])
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def page(self, rows: Rows) -> None:
        """Write what comes next."""
        values = list(rows.values)
        columns = [
            pa.array([row[place] for row in values], type=field.type)
            for place, field in enumerate(self._schema)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write what stands at the end."""
        self._writer.close()


def rows_as_parquet(rows: Rows) -> bytes:
    """Return rows as Parquet."""
    file = io.BytesIO()
    written = RowsFile(file, rows.columns)
    written.page(rows)
    written.close()
    return file.getvalue()


def _type_of(name: str) -> pa.DataType:
    if name == "tests_of_class":
        return pa.int64()
    if name in _TEXTS or name.endswith("_class"):
        return pa.dictionary(pa.int32(), pa.string())
    if name in _FLOATS or name.startswith("completeness"):
        return pa.float64()
    if name == "extracted_at":
        return pa.string()
    if name == "unknown":
        return pa.bool_()
    return pa.int64()
