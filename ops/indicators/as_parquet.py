"""Figures as one Parquet file: typed columns, null where a value is withheld."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.figures import DelayFigure, Extraction, Figure

from .as_csv import COLUMNS, DELAY_COLUMNS, delay_rows, row_of

_TEXTS = ("condition", "area", "period", "label", "age_class", "sex", "flags")
_FLOATS = ("incidence", "positivity", "screening", "within_1", "within_2", "within_3")


class FiguresFile:
    """Figures written page by page as one Parquet file, compressed with Zstandard.

    Args:
        file: What it is written into.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._written = _Written(file, COLUMNS)

    def page(self, figures: Sequence[Figure], extraction: Extraction) -> None:
        """Write what comes next."""
        self._written.rows([row_of(each, extraction) for each in figures])

    def close(self) -> None:
        """Write what stands at the end."""
        self._written.close()


class DelaysFile:
    """Delays written page by page as one Parquet file, a row a class.

    Args:
        file: What it is written into.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._written = _Written(file, DELAY_COLUMNS)

    def page(self, figures: Sequence[DelayFigure], extraction: Extraction) -> None:
        """Write what comes next."""
        self._written.rows([row for each in figures for row in delay_rows(each, extraction)])

    def close(self) -> None:
        """Write what stands at the end."""
        self._written.close()


class _Written:
    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._schema = pa.schema([(name, _type_of(name)) for name in columns])
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def rows(self, rows: Sequence[Sequence[object]]) -> None:
        columns = [
            pa.array([row[place] for row in rows], type=field.type)
            for place, field in enumerate(self._schema)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def delays_as_parquet(figures: Sequence[DelayFigure], extraction: Extraction) -> bytes:
    """Return delays as Parquet."""
    file = io.BytesIO()
    written = DelaysFile(file)
    written.page(figures, extraction)
    written.close()
    return file.getvalue()


def figures_as_parquet(figures: Sequence[Figure], extraction: Extraction) -> bytes:
    """Return the figures as Parquet."""
    file = io.BytesIO()
    written = FiguresFile(file)
    written.page(figures, extraction)
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
