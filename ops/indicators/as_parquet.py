"""Figures as one Parquet file: typed columns, null where a value is withheld."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.figures import Extraction, Figure

from .as_csv import COLUMNS, row_of

_TEXTS = ("condition", "area", "period", "label", "age_class", "sex", "flags")
_FLOATS = ("incidence", "positivity", "screening")


def figures_as_parquet(figures: Sequence[Figure], extraction: Extraction) -> bytes:
    """Return the figures as Parquet, compressed with Zstandard."""
    rows = [row_of(each, extraction) for each in figures]
    columns = [
        pa.array([row[place] for row in rows], type=_type_of(name))
        for place, name in enumerate(COLUMNS)
    ]
    table = pa.Table.from_arrays(columns, names=list(COLUMNS))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _type_of(name: str) -> pa.DataType:
    if name in _TEXTS or name.endswith("_class"):
        return pa.dictionary(pa.int32(), pa.string())
    if name in _FLOATS or name.startswith("completeness"):
        return pa.float64()
    if name == "extracted_at":
        return pa.string()
    return pa.int64()
